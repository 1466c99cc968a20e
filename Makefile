# Everything a clone needs; `make` alone says what there is. Go is the only
# build tool: its caches decide what is out of date, so no rule here does.

GO       ?= go
PACKAGES ?=
# More flags for `master demo`, for example DEMOFLAGS=--keep.
DEMOFLAGS ?=
# More flags for `go test`, for example TESTFLAGS=-v.
TESTFLAGS ?=

# Pinned, and run from the module cache: a linter in go.mod would put its
# dependencies among the farm's.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# Where goroutines, leases and locks meet. The rest is left out for time: under
# the race detector the whole suite takes longer than all other checks together.
RACE := ./internal/service/... ./internal/proc/... ./internal/bus/... ./internal/agent/... \
        ./internal/dispatch/... ./internal/collect/... ./internal/publish/... \
        ./internal/depot/... ./internal/atomicfile/... ./internal/store/...

# Without git, or in a tree that git does not trust, the version stays unknown.
VERSION = $(shell git describe --tags --exact-match --match 'v*' 2>/dev/null)
COMMIT  = $(shell git describe --always --dirty --exclude '*' 2>/dev/null)
LDFLAGS = -s -w -X pinwheel/internal/cli.version=$(VERSION) -X pinwheel/internal/cli.commit=$(COMMIT)
BUILD   = CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath -ldflags '$(LDFLAGS)'

.DEFAULT_GOAL := help
.PHONY: help build demo test check cross man bench clean setup \
        check-format check-vet check-lint check-table check-tidy check-race FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

build: bin/pinwheel-master bin/pinwheel-slave ## build both programs into bin/

bin/pinwheel-%: FORCE
	@$(BUILD) -o $@ ./cmd/$*

# PACKAGES goes through the environment: the shell splits it into words there,
# but does not take the > of a requirement for a redirection.
demo: export DEMO_PACKAGES = $(PACKAGES)
demo: setup build ## run a whole farm here: PACKAGES="name==version name …"
	@set -f; exec bin/pinwheel-master demo $(DEMOFLAGS) $$DEMO_PACKAGES

test: setup ## run all tests
	@$(GO) test $(TESTFLAGS) ./...

check: check-format check-vet check-lint check-table check-tidy check-race ## format, vet, staticcheck, import table, tidy, race

check-format:
	@bad=$$(gofmt -l cmd internal sql) && if [ -n "$$bad" ]; then \
		echo "not formatted, run gofmt -w on:" >&2; echo "$$bad" >&2; exit 1; fi
	@echo "format: ok"

check-vet:
	@$(GO) vet ./...
	@echo "vet: ok"

check-lint:
	@CGO_ENABLED=0 $(GO) run $(STATICCHECK) ./...
	@echo "staticcheck: ok"

check-table:
	@$(GO) test ./internal/architecture

check-tidy:
	@$(GO) mod tidy -diff
	@echo "tidy: ok"

check-race: setup
	@CGO_ENABLED=1 $(GO) test -race -short $(RACE)

# The large queue takes 12 GB in the cache folder and two minutes, once. A steady
# load of 30 minutes comes on top with STEADY=30m.
BENCHROWS ?= 10000 25000000
STEADY    ?=

bench: setup ## measure what docs/performance.md tells, in benchstat's form: BENCHROWS="10000" STEADY=30m
	@$(GO) test -run '^$$' -bench 'Verify' -benchtime 7x ./internal/wheel
	@$(GO) test -run '^$$' -bench 'Pages|Root' -benchtime 7x ./internal/publish
	@PINWHEEL_BENCH_ROWS='$(BENCHROWS)' $(GO) test -timeout 60m -run '^$$' -bench 'Claim' -benchtime 3000x ./internal/bench
	@$(GO) test -timeout 60m -run '^$$' -bench 'Upload|Published|Build' -benchtime 7x ./internal/bench
	@PINWHEEL_BENCH_ROWS='$(BENCHROWS)' $(GO) test -run '^$$' -bench 'Idle' -benchtime 1x ./internal/bench
	@[ -z '$(STEADY)' ] || PINWHEEL_BENCH_ROWS='$(BENCHROWS)' PINWHEEL_BENCH_STEADY='$(STEADY)' \
		$(GO) test -timeout 120m -run '^$$' -bench 'Steady' -benchtime 1x ./internal/bench

CROSS := $(foreach arch,armv6 arm64,$(foreach prog,master slave,dist/linux-$(arch)/pinwheel-$(prog)))

cross: $(CROSS) ## build both programs for 32-bit (ARMv6) and 64-bit Pis into dist/
	@ls -l $(CROSS)

dist/linux-armv6/pinwheel-%: FORCE
	@GOOS=linux GOARCH=arm GOARM=6 $(BUILD) -o $@ ./cmd/$*

dist/linux-arm64/pinwheel-%: FORCE
	@GOOS=linux GOARCH=arm64 $(BUILD) -o $@ ./cmd/$*

man: build ## write a manual page for every command into dist/man/
	@rm -rf dist/man
	@for p in master slave; do bin/pinwheel-$$p man dist/man/man1 || exit 1; done
	@echo "dist/man/man1: $$(ls dist/man/man1 | wc -l) pages"

clean: ## remove bin/ and dist/; Go's caches stay
	@rm -rf bin dist

setup:
	@scripts/setup

FORCE:
