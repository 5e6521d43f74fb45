# Build, test and install. CGO is off: one static binary per command.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
PREFIX  ?= /usr/local
GO      ?= go
GOFLAGS ?= -trimpath
LDFLAGS  = -s -w -X main.version=$(VERSION)
COMMANDS = $(notdir $(wildcard cmd/*))

SBIN    = $(DESTDIR)$(PREFIX)/sbin
BIN     = $(DESTDIR)$(PREFIX)/bin
MAN     = $(DESTDIR)$(PREFIX)/share/man/man1
DOC     = $(DESTDIR)$(PREFIX)/share/doc/knockd
SHARE   = $(DESTDIR)$(PREFIX)/share
UNITS   = $(DESTDIR)/lib/systemd/system
# Existing files of the administrator are never overwritten.
KEEP    = sh -c 'test -e "$$2" || install -D -m "$$0" "$$1" "$$2"'

.PHONY: all build install uninstall test check demo cross clean deps test-systemd test-firewalls test-long

all: build

build:
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build $(GOFLAGS) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

install: build
	install -D -m 755 bin/knockd $(SBIN)/knockd
	install -D -m 755 bin/knock $(BIN)/knock
	install -D -m 755 bin/knockctl $(SBIN)/knockctl
	for page in cmd/*/*.1; do install -D -m 644 $$page $(MAN)/$${page##*/} || exit 1; done
	for unit in configs/*.service; do \
		install -d $(UNITS) && sed 's|/usr/sbin/|$(PREFIX)/sbin/|' $$unit >$(UNITS)/$${unit##*/} || exit 1; \
	done
	for name in $(COMMANDS); do \
		install -D -m 644 configs/$$name.bash $(SHARE)/bash-completion/completions/$$name && \
		install -D -m 644 configs/_$$name $(SHARE)/zsh/site-functions/_$$name && \
		install -D -m 644 configs/$$name.fish $(SHARE)/fish/vendor_completions.d/$$name.fish || exit 1; \
	done
	install -D -m 644 configs/knock.sh $(DOC)/knock.sh
	install -D -m 644 configs/wake-on-connect.conf $(DOC)/wake-on-connect.conf
	$(KEEP) 600 configs/knockd.conf $(DESTDIR)/etc/knockd.conf
	$(KEEP) 644 configs/knockd.default $(DESTDIR)/etc/default/knockd
	$(KEEP) 644 configs/knockd.logrotate $(DESTDIR)/etc/logrotate.d/knockd
	install -D -m 644 README.md $(DOC)/README.md

# Leaves /etc and the state as they are.
uninstall:
	rm -f $(SBIN)/knockd $(BIN)/knock $(SBIN)/knockctl
	for page in cmd/*/*.1; do rm -f $(MAN)/$${page##*/}; done
	for unit in configs/*.service; do rm -f $(UNITS)/$${unit##*/}; done
	for name in $(COMMANDS); do rm -f $(SHARE)/bash-completion/completions/$$name $(SHARE)/zsh/site-functions/_$$name \
		$(SHARE)/fish/vendor_completions.d/$$name.fish; done
	rm -rf $(DOC)

# The programs that the tests compare with and send packets with.
deps:
	@sh .ci/deps

# All tests. What cannot run here says what it needs.
test: deps
	$(GO) test -timeout 18m ./...

# What every commit passes.
check: deps
	@fmt=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$fmt" || { echo "gofmt would change:"; echo "$$fmt"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test -race -timeout 30m ./...

# Two hosts on this machine, a closed port, a knock, an open one, a closed one.
demo: build
	@CGO_ENABLED=0 $(GO) run ./internal/demo bin

# What decoding, tracking, filtering and reading a configuration cost.
bench:
	@$(GO) test -run '^$$' -bench '^Benchmark(Decode|Tracker|Strict|Doors|Filter|Parse|Cheap|Junk|Replay|Dear)$$' -benchtime 200ms -benchmem \
		./internal/packet ./internal/knock ./internal/capture ./internal/config ./internal/spa | sh .ci/benchtable

# One table beside Debian's knockd 0.8 and fwknopd, as root, in namespaces of
# its own. It takes about ten minutes and wants the machine for itself.
bench-peer: deps
	$(GO) test -count 1 -timeout 30m -run '^TestPeer$$' -v ./internal/livetest -peer

# Floods, knocks, reloads and address changes at once, as root, in namespaces.
SOAK ?= 10m
soak: deps
	$(GO) test -count 1 -timeout 2h -run '^TestSoak$$' -v ./internal/livetest -soak=$(SOAK)

# The unit under a real systemd, booted in a container: root, debootstrap and
# systemd-container. Takes some minutes the first time.
test-systemd: build
	sh internal/livetest/systemd/run bin

# Beside the host firewalls of Debian's packages; installs ufw and firewalld.
test-firewalls:
	KNOCKD_TEST_FIREWALLS=1 sh .ci/deps
	KNOCKD_TEST_FIREWALLS=1 $(GO) test -timeout 30m -run 'Firewall|Coexist' -v ./internal/nft ./internal/livetest

# What is too long for every day: more random doors, traces, changes and hits.
test-long: deps
	KNOCKD_LONG=1 $(GO) test -timeout 60m ./internal/ruleset ./internal/livetest ./internal/knock
	$(GO) test -timeout 30m ./internal/conformance -traces 1000
	$(GO) test -timeout 30m ./internal/livetest -run Changes -changes 1000

# The client's other systems.
cross:
	sh .ci/cross

clean:
	rm -rf bin dist
