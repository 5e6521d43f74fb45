# Build, test and install. CGO is off: one static binary per command.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
PREFIX  ?= /usr/local
# The Go that builds: GO, or one that is new enough (.ci/findgo). Without GOOS and
# GOARCH it builds for this system: make GOARCH=arm GOARM=7, for example.
GO      ?=
go       = GO='$(GO)' sh .ci/go
# The version is git's, above: stamping fails in somebody else's clone.
BUILD    = GO='$(GO)' VERSION='$(VERSION)' sh .ci/build
COMMANDS = $(notdir $(wildcard cmd/*))
PAGES    = $(wildcard cmd/*/*.[1-8])
# The README and what it shows.
READ     = README.md CHANGELOG.md configs/knock.svg testdata/bench-peer.txt testdata/sizes.txt

SBIN    = $(DESTDIR)$(PREFIX)/sbin
BIN     = $(DESTDIR)$(PREFIX)/bin
MAN     = $(DESTDIR)$(PREFIX)/share/man
DOC     = $(DESTDIR)$(PREFIX)/share/doc/knockd
SHARE   = $(DESTDIR)$(PREFIX)/share
# Before Debian's directory in systemd's search, if PREFIX is /usr/local.
UNITS   = $(DESTDIR)$(PREFIX)/lib/systemd/system
# zsh of Debian looks here for what belongs to a package.
ZSH     = $(SHARE)/zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
# Existing files of the administrator are never overwritten.
KEEP    = sh -c 'test -e "$$2" || install -D -m "$$0" "$$1" "$$2"'

.PHONY: all needs-go build tiny install uninstall deps test check check32 test-qemu demo bench bench-peer soak \
	test-fresh test-systemd test-kernels test-firewalls test-long cross clean

all: build

needs-go:
	@GO='$(GO)' sh .ci/findgo >/dev/null

build: needs-go
	@mkdir -p bin
	$(BUILD) -o bin/ ./cmd/...

# The three commands as one file, for routers, without HTTPS (README).
tiny: needs-go
	GO='$(GO)' VERSION='$(VERSION)' sh .ci/tiny bin/tiny

# Brings no /etc/knockd.conf: sequences that everybody has would be in it;
# knockctl init makes one. Copies what was built and builds nothing, so that root needs no Go. Without
# DESTDIR systemd is told of the units; what runs goes on running.
install:
	@for name in $(COMMANDS); do test -x bin/$$name || \
		{ echo "bin/$$name is not there: run make first, as yourself; install only copies" >&2; exit 1; }; done
	@test -n "$(DESTDIR)" || sh configs/changeover may $(PREFIX)
	install -D -m 755 bin/knockd $(SBIN)/knockd
	install -D -m 755 bin/knock $(BIN)/knock
	install -D -m 755 bin/knockctl $(SBIN)/knockctl
	for page in $(PAGES); do install -D -m 644 $$page $(MAN)/man$${page##*.}/$${page##*/} || exit 1; done
	for unit in configs/*.service; do \
		sed 's|/usr/sbin/|$(PREFIX)/sbin/|' $$unit | install -D -m 644 /dev/stdin $(UNITS)/$${unit##*/} || exit 1; \
	done
	for name in $(COMMANDS); do \
		install -D -m 644 configs/$$name.bash $(SHARE)/bash-completion/completions/$$name && \
		install -D -m 644 configs/_$$name $(ZSH)/_$$name && \
		install -D -m 644 configs/$$name.fish $(SHARE)/fish/vendor_completions.d/$$name.fish || exit 1; \
	done
	install -D -m 644 configs/knock.sh $(DOC)/knock.sh
	for example in configs/*.conf; do install -D -m 644 $$example $(DOC)/$${example##*/} || exit 1; done
	$(KEEP) 644 configs/knockd.default $(DESTDIR)/etc/default/knockd
	$(KEEP) 644 configs/knockd.logrotate $(DESTDIR)/etc/logrotate.d/knockd
	for file in $(READ); do install -D -m 644 $$file $(DOC)/$$file || exit 1; done
	@test -n "$(DESTDIR)" || sh configs/changeover installed $(PREFIX)

# Leaves /etc and the state as they are. Without DESTDIR the service is stopped
# before, and nothing of it stays open, closed or in the kernel.
uninstall:
	@test -n "$(DESTDIR)" || sh configs/changeover leaving $(PREFIX)
	rm -f $(SBIN)/knockd $(BIN)/knock $(SBIN)/knockctl
	for page in $(PAGES); do rm -f $(MAN)/man$${page##*.}/$${page##*/}; done
	for unit in configs/*.service; do rm -f $(UNITS)/$${unit##*/}; done
	for name in $(COMMANDS); do rm -f $(SHARE)/bash-completion/completions/$$name $(ZSH)/_$$name \
		$(SHARE)/fish/vendor_completions.d/$$name.fish; done
	rm -f $(DOC)/knock.sh $(addprefix $(DOC)/,$(notdir $(wildcard configs/*.conf))) $(addprefix $(DOC)/,$(READ))
	rmdir $(DOC)/configs $(DOC)/testdata $(DOC) 2>/dev/null || true
	@test -n "$(DESTDIR)" || sh configs/changeover left $(PREFIX)

# The programs that the tests compare with and send packets with.
deps:
	@sh .ci/deps

# All tests. What cannot run here says what it needs.
test: needs-go deps
	$(go) test -timeout 18m ./...

# What every commit passes.
check: needs-go deps
	@fmt=$$("$$($(go) env GOROOT)/bin/gofmt" -l cmd internal); test -z "$$fmt" || { echo "gofmt would change:"; echo "$$fmt"; exit 1; }
	$(go) vet ./...
	GO='$(GO)' sh .ci/staticcheck
	$(go) test -race -timeout 30m ./...

# The same as a 32-bit system, and the demo.
check32: needs-go deps
	GO='$(GO)' sh .ci/check32

# Two hosts on this machine, a closed port, a knock, an open one, a closed one.
demo: build
	@$(BUILD) -o bin/ ./internal/demo
	@bin/demo bin

# What decoding, tracking, filtering, reading a configuration and the kernel's
# work with exported rulesets cost.
bench: needs-go
	@$(go) test -run '^$$' -bench '^Benchmark(Decode|Tracker|Strict|Doors|Filter|Parse|Cheap|Junk|Replay|Dear|Ruleset)$$' -benchtime 200ms -benchmem \
		./internal/packet ./internal/knock ./internal/capture ./internal/config ./internal/spa ./internal/ruleset | sh .ci/benchtable

# One table beside Debian's knockd 0.8 and fwknopd and one of exported rulesets, as
# root, in namespaces of its own. They take about ten minutes and want the
# machine for themselves; if all could be measured, they are kept in testdata.
bench-peer: needs-go deps
	$(go) test -count 1 -timeout 30m -run '^TestPeer$$' -v ./internal/livetest -peer \
		-peer-table $(CURDIR)/testdata/bench-peer.txt

# Floods, knocks, reloads and address changes at once, as root, in namespaces.
SOAK ?= 10m
soak: needs-go deps
	$(go) test -count 1 -timeout 2h -run '^TestSoak$$' -v ./internal/livetest -soak=$(SOAK)

# The unit under a real systemd, the way from Debian's knockd and back, and a new
# user's first door, in containers that boot Debian 12 and 13: root, debootstrap and
# systemd-container. Takes some minutes the first time.
SUITES ?= bookworm trixie
test-systemd: build
	for suite in $(SUITES); do for story in unit changeover setup guard; do \
		sh internal/livetest/systemd/run bin $$suite $$story || exit 1; done; done

# The firewall's tests and a trial, its clock and its reboot, on the cloud kernels
# of Debian 12 and 13 under qemu, which needs no KVM: root, and some minutes
# each.
test-kernels: build
	for suite in $(SUITES); do GO='$(GO)' sh internal/livetest/kernels/run bin $$suite || exit 1; done

# README's commands in a fresh Debian 12 and 13 that has make and Go alone: as a
# user, as a user without namespaces, and .ci/run as root. Takes an hour.
test-fresh: needs-go
	for suite in $(SUITES); do sh .ci/fresh $$suite || exit 1; done

# Beside the host firewalls of Debian's packages; installs ufw and firewalld.
test-firewalls: needs-go
	KNOCKD_TEST_FIREWALLS=1 sh .ci/deps
	KNOCKD_TEST_FIREWALLS=1 $(go) test -timeout 30m -run 'Firewall|Coexist' -v ./internal/nft/... ./internal/livetest

# What is too long for every day: more random doors, traces, changes and hits.
test-long: needs-go deps
	KNOCKD_LONG=1 $(go) test -timeout 60m ./internal/ruleset ./internal/livetest ./internal/knock
	$(go) test -timeout 30m ./internal/conformance -traces 1000
	$(go) test -timeout 30m ./internal/livetest -run Changes -changes 1000

# As processors of routers: decoder, tracker, messages, configurations and
# recorded traces, under Debian's qemu-user.
test-qemu: needs-go deps
	GO='$(GO)' sh .ci/qemu

# All commands for the systems they are for, and a table of sizes.
cross: needs-go
	GO='$(GO)' sh .ci/cross

clean:
	rm -rf bin dist .build
