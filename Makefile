# Writ. `make demo` shows it, `make test` tests it; both set up what they need.

GO      ?= go
TAGS    := seccomp
STATIC  := -tags 'seccomp netgo osusergo' -ldflags '-s -w -linkmode external -extldflags -static'
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
PREFIX  ?= /usr/local
APT     := libseccomp-dev pkg-config busybox-static
APTUNIT := gnupg openssh-client
APTTEST := nftables iproute2 openssh-server git procps util-linux crun runc

export CGO_ENABLED = 1

.PHONY: help build images demo demo-down test unit kernel histories lint bench install clean deps deps-unit deps-test

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

deps: ## install what building needs (Debian packages, as root)
	@fixtures/setup.sh $(APT)

deps-unit: deps
	@fixtures/setup.sh $(APTUNIT)

deps-test: deps
	@fixtures/setup.sh $(APTTEST)

build: deps ## build bin/writ, bin/writ-shim and bin/writ-render
	@mkdir -p bin
	$(GO) build $(STATIC) -o bin/writ-shim ./cmd/writ-shim
	$(GO) build -ldflags '-s -w' -o bin/writ-render ./cmd/writ-render
	$(GO) build -tags '$(TAGS)' -ldflags '$(LDFLAGS)' -o bin/writ ./cmd/writ

images: deps ## build the images of the demo into bin/images
	$(GO) run ./fixtures/images/build -out bin/images

demo: build images ## start a node on examples-repo, roll it, roll it back
	@fixtures/demo/up.sh

demo-down: ## stop the demo; nothing is left
	@fixtures/demo/down.sh

test: lint unit kernel ## everything: lint, unit tests, kernel tests

unit: deps-unit ## tests that need no root
	$(GO) test -tags '$(TAGS)' ./...

kernel: deps-test build images ## tests that need root: runc, network namespaces, nftables, mounts
	@WRIT_BIN='$(CURDIR)/bin' fixtures/kernel/run.sh '$(TAGS)'

histories: deps-unit ## 10000 random histories of every controller (takes long)
	GOGC=400 $(GO) test -tags '$(TAGS)' ./fixtures/scenario -run Histories -histories 10000 -timeout 4h

lint: deps ## gofmt, go vet, staticcheck
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi
	$(GO) vet -tags '$(TAGS) kernel' ./...
	$(GO) tool staticcheck -tags '$(TAGS),kernel' ./...

bench: build images deps-test ## measure, beside the goals
	@fixtures/bench/run.sh

install: build ## install the binaries and the systemd unit
	install -D -m 0755 bin/writ $(DESTDIR)$(PREFIX)/bin/writ
	install -D -m 0755 bin/writ-shim $(DESTDIR)$(PREFIX)/bin/writ-shim
	install -D -m 0755 bin/writ-render $(DESTDIR)$(PREFIX)/bin/writ-render
	install -d -m 0755 $(DESTDIR)/etc/systemd/system
	sed 's|@PREFIX@|$(PREFIX)|' cmd/writ/writ.service > $(DESTDIR)/etc/systemd/system/writ.service

clean: ## remove what was built
	rm -rf bin
