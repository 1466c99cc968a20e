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
# Slaves and monitors are small: the one lies in the memory of a Pi beside the builds, the
# other comes over slow lines. They inline only where that is worth its size (-l: do not),
# and a slave has no HTTP/2, which no index needs.
INLINE        = -gcflags=all=-l -gcflags=runtime/...= -gcflags=internal/runtime/...= -gcflags=crypto/...=
FLAGS_slave   = -tags nethttpomithttp2 $(INLINE)
FLAGS_monitor = $(INLINE)

.DEFAULT_GOAL := help
.PHONY: help build demo test test-arm armroot test-ansible acceptance stories chaos real simulate check check-ansible cross program man bench clean \
        setup setup-arm setup-ansible setup-emulator \
        check-format check-vet check-lint check-table check-tidy check-race FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

build: bin/pinwheel-master bin/pinwheel-slave bin/pinwheel-monitor ## build the programs into bin/

bin/pinwheel-%: FORCE
	@$(BUILD) $(FLAGS_$*) -o $@ ./cmd/$*

# PACKAGES goes through the environment: the shell splits it into words there,
# but does not take the > of a requirement for a redirection.
demo: export DEMO_PACKAGES = $(PACKAGES)
demo: setup build ## run a whole farm here: PACKAGES="name==version name …"
	@set -f; exec bin/pinwheel-master demo $(DEMOFLAGS) $$DEMO_PACKAGES

test: setup setup-emulator ## run all tests
	@$(GO) test -timeout 30m $(TESTFLAGS) ./...

# For a production farm, Raspbian's suite, mirror and keys: docs/operations.md.
ARMROOTFLAGS ?=

armroot: setup-arm ## make a 32-bit ARM userland for slaves, once, and print its path: ARMROOTFLAGS="--suite S --mirror M --keyring F"
	@scripts/armroot $(ARMROOTFLAGS)

# Where a CPU is not ARM, everything in that userland is emulated, and slow.
test-arm: setup setup-arm ## let a farm build for 32-bit ARM, and pip install there
	@root=$$(scripts/armroot) && PINWHEEL_ARM_ROOT="$$root" $(GO) test -count=1 -timeout 30m -v $(TESTFLAGS) ./internal/armtest

# Both have to be fetched, so at the same time; what becomes of the one is asked again.
MACHINES = scripts/ansible-tools >/dev/null & root=$$(scripts/hostroot) && wait && tools=$$(scripts/ansible-tools)
ON_THEM  = PINWHEEL_ANSIBLE="$$tools" PINWHEEL_HOST_ROOT="$$root" $(GO) test -count=1 -timeout 60m -v $(TESTFLAGS)

# The machines are namespaces of this one, which only root can make.
test-ansible: setup setup-ansible ## put a farm on a rack of bare machines with the plays, and work with it
	@$(MACHINES) && $(ON_THEM) ./internal/racktest

# Of the machines only the userland that the slave builds in is ARM's, and that of pip.
acceptance: setup setup-arm setup-ansible ## put a farm for 32-bit ARM on bare machines, down to the wheel that pip takes there
	@$(MACHINES) && arm=$$(scripts/armroot) && PINWHEEL_ARM_ROOT="$$arm" $(ON_THEM) -run 'TestAcceptance$$' ./internal/racktest

# Half an hour on two cores. STORYSEED=N begins with another seed.
STORIES   ?= 10000
STORYSEED ?= 1

stories: setup ## tell 10,000 random stories to followers that are cut off and killed: STORIES=500 STORYSEED=7
	@PINWHEEL_STORIES='$(STORIES)' PINWHEEL_STORY_SEED='$(STORYSEED)' $(GO) test -timeout 120m -v -run 'TestStories' ./internal/ingest

# Without CHAOS_SEED any seed will do, and is told.
CHAOS_LONG ?= 5m
CHAOS_SEED ?=

chaos: setup ## let a farm of processes work while everything breaks at random: CHAOS_SEED=7 CHAOS_LONG=60s
	@PINWHEEL_CHAOS_LONG='$(CHAOS_LONG)' PINWHEEL_CHAOS_SEED='$(CHAOS_SEED)' $(GO) test -count=1 -timeout 120m -v -run 'TestChaos$$' ./internal/chaostest

# A quarter of an hour, and the index that pip here uses. REAL=1-10 builds the first ten.
REAL ?= 1-43

real: setup ## build 43 real packages and say what differs from what plain pip once made of them: REAL=1-10
	@PINWHEEL_REAL_PACKAGES='$(REAL)' $(GO) test -count=1 -timeout 60m -v -run 'TestRealPackages' ./internal/builder

# The whole takes an hour and more on two free cores. SMALL=20000 is over in one minute, and
# leaves its plot in bin/. SIMSEED=N draws other times.
SMALL   ?=
SIMSEED ?= 1

simulate: setup ## build 750,000 versions by 1 to 200 simulated slaves: SMALL=20000 SIMSEED=7
	@mkdir -p bin
	@PINWHEEL_SIMULATE='$(SMALL)' PINWHEEL_SIMULATE_SEED='$(SIMSEED)' \
		PINWHEEL_SIMULATE_PLOT='$(CURDIR)/$(if $(SMALL),bin,docs)/simulation.svg' \
		$(GO) test -timeout 120m -run '^$$' -bench FirstRun -benchtime 1x ./internal/simulate

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

check-ansible: setup-ansible ## hold the plays to ansible-lint's profile for production
	@tools=$$(scripts/ansible-tools) && cd ansible && PATH="$$tools:$$PATH" ansible-lint --nocolor --offline -q
	@echo "ansible: ok"

check-race: setup
	@CGO_ENABLED=1 $(GO) test -race -short $(RACE)

# The large queue takes 12 GB in the cache folder and two minutes, once. A steady
# load of 30 minutes comes on top with STEADY=30m.
BENCHROWS ?= 10000 25000000
STEADY    ?=
# How long each cycle of next, report and page is run.
CYCLE     ?= 20s
# All of PyPI takes as much there, and half an hour, each time. PYPI_NAMES=FILE
# takes its names from a list.
NAMES     ?= 886324

bench: setup ## measure what docs/performance.md tells, in benchstat's form: BENCHROWS="10000" NAMES=20000 STEADY=30m CYCLE=5m
	@$(GO) test -run '^$$' -bench 'Verify' -benchtime 7x ./internal/wheel
	@$(GO) test -run '^$$' -bench 'Pages|Root' -benchtime 7x ./internal/publish
	@$(GO) test -run '^$$' -bench 'Fence' -benchtime 100x ./internal/builder
	@PINWHEEL_BENCH_ROWS='$(BENCHROWS)' $(GO) test -timeout 60m -run '^$$' -bench 'Claim' -benchtime 3000x ./internal/bench
	@PINWHEEL_BENCH_ROWS='$(BENCHROWS)' $(GO) test -timeout 60m -run '^$$' -bench 'Requeue|Failures' -benchtime 3x ./internal/bench
	@$(GO) test -timeout 60m -run '^$$' -bench 'Upload|Published|Build' -benchtime 7x ./internal/bench
	@$(GO) test -timeout 60m -run '^$$' -bench 'EventToSlave' -benchtime 300x ./internal/bench
	@PINWHEEL_BENCH_CYCLE='$(CYCLE)' $(GO) test -timeout 60m -run '^$$' -bench 'Cycle|Load' -benchtime 1x ./internal/bench
	@$(GO) test -timeout 60m -run '^$$' -bench 'Wake' -benchtime 300x ./internal/bench
	@PINWHEEL_BENCH_ROWS='$(BENCHROWS)' $(GO) test -run '^$$' -bench 'Idle' -benchtime 1x ./internal/bench
	@PINWHEEL_BENCH_NAMES='$(NAMES)' $(GO) test -timeout 120m -run '^$$' -bench 'FullPyPI' -benchtime 1x ./internal/bench
	@[ -z '$(STEADY)' ] || PINWHEEL_BENCH_ROWS='$(BENCHROWS)' PINWHEEL_BENCH_STEADY='$(STEADY)' \
		$(GO) test -timeout 120m -run '^$$' -bench 'Steady' -benchtime 1x ./internal/bench

CROSS := $(foreach arch,armv6 arm64,$(foreach prog,master slave monitor,dist/linux-$(arch)/pinwheel-$(prog)))

cross: $(CROSS) ## build the programs for 32-bit (ARMv6) and 64-bit Pis into dist/
	@ls -l $(CROSS)

dist/linux-armv6/pinwheel-%: FORCE
	@GOOS=linux GOARCH=arm GOARM=6 $(BUILD) $(FLAGS_$*) -o $@ ./cmd/$*

dist/linux-arm64/pinwheel-%: FORCE
	@GOOS=linux GOARCH=arm64 $(BUILD) $(FLAGS_$*) -o $@ ./cmd/$*

program: FORCE # one of them, for benchmarks: PROGRAM=slave OUT=path
	@$(BUILD) $(FLAGS_$(PROGRAM)) -o $(OUT) ./cmd/$(PROGRAM)

man: build ## write a manual page for every command into dist/man/
	@rm -rf dist/man
	@for p in master slave monitor; do bin/pinwheel-$$p man dist/man/man1 || exit 1; done
	@echo "dist/man/man1: $$(ls dist/man/man1 | wc -l) pages"

clean: ## remove bin/ and dist/; Go's caches stay
	@rm -rf bin dist

setup:
	@scripts/setup

setup-arm:
	@scripts/setup arm

setup-ansible:
	@scripts/setup ansible

setup-emulator:
	@scripts/setup emulator

FORCE:
