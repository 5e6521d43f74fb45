# Build, test and install. CGO is off: one static binary per command.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
PREFIX  ?= /usr/local
GO      ?= go
GOFLAGS ?= -trimpath
LDFLAGS  = -s -w -X main.version=$(VERSION)
COMMANDS = $(notdir $(wildcard cmd/*))

.PHONY: all build test check demo cross fuzz clean deps

all: build

build:
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build $(GOFLAGS) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

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

clean:
	rm -rf bin dist
