# make check is what CI runs. Where things are and how to add to them:
# CONTRIBUTING.md.

SHELL := bash
GO ?= go
FUZZTIME ?= 60s
CHECK := $(GO) run ./internal/check
LINT := bin/golangci-lint

.PHONY: build release check test race fuzz soak bench benchmarks golden fmt lint clean

build: ## bin/emu and bin/replay
	$(GO) build -o bin/ ./cmd/...

release: ## dist/: archives for every platform, with licences and SHA256SUMS
	$(GO) run ./internal/release

check: ## everything that must hold before a change goes in; at most 20 minutes on 2 cores
	$(CHECK)

test: ## all tests
	$(CHECK) test

race: ## tests of what goroutines share, with the race detector
	$(CHECK) race

fuzz: ## each fuzz target for FUZZTIME
	$(CHECK) -budget 2h -fuzztime $(FUZZTIME) fuzz

soak: ## the long tests, and each fuzz target for FUZZTIME
	$(CHECK) -budget 4h -fuzztime $(FUZZTIME) soak fuzz

bench: ## the figures of docs/performance.md, each beside its goal and its peer
	$(GO) run ./internal/bench

benchmarks: ## every benchmark of every package
	$(CHECK) -budget 1h bench

golden: ## rewrite the golden files; then read the diff
	$(CHECK) golden

fmt: $(LINT) ## gofumpt and goimports
	$(LINT) fmt

lint: $(LINT) ## golangci-lint; its first build takes minutes
	$(LINT) run

$(LINT): tools/go.mod tools/go.sum
	cd tools && $(GO) build -o ../$(LINT) github.com/golangci/golangci-lint/v2/cmd/golangci-lint

clean:
	rm -rf bin
