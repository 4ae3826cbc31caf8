# Bare make prints the targets. Everything works offline after its first time.

# Empty: meshbreach chooses, and says which and why.
MESH      ?=
PROVIDER  ?=
ARGS      ?=
FUZZTIME  ?= 10s
BENCHTIME ?= 3x
P         ?= 2

LINT   = go tool -modfile=hack/tools/go.mod golangci-lint
# Stops where Envoy cannot be had; otherwise what follows finds it.
ENVOY  = envoy=$$(go run ./hack/program envoy) && MESHBREACH_ENVOY=$$envoy
# The race detector needs a C compiler with its headers.
HAS_CC = printf '\043include <pthread.h>\n' | $$(go env CC) -fsyntax-only -x c - 2>/dev/null
RACE   = $(shell $(HAS_CC) && echo -race)

.PHONY: help build e2e test lint unit suite meshes sweep kind bench fuzz generate clean

help: ## print this
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "MESH=$(or $(MESH),(chosen)) PROVIDER=$(or $(PROVIDER),(chosen)) ARGS are passed to meshbreach run by make e2e."

build: ## build bin/meshbreach and bin/probe
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/...

e2e: build ## make a mesh, attack it under load, print verdicts, write reports/
	bin/meshbreach run $(if $(MESH),--mesh $(MESH)) $(if $(PROVIDER),--provider $(PROVIDER)) --report-dir reports $(ARGS)

test: lint unit suite ## what a change needs: lint, unit and command-line tests, and the suite against real Envoy

lint: ## run the linters, which also hold the arrows between packages, and check the commits' messages
	go run ./hack/commits
	$(LINT) run --allow-parallel-runners ./...

unit: build ## unit tests and command-line tests, with the race detector where there is a C compiler
	@echo '$(if $(RACE),race detector: on,race detector: off, for it needs a C compiler with its headers)'
	packages=$$(go list ./... | grep -v '/scenarios/runner$$') && $(ENVOY) go test -short $(RACE) -p $(P) $$packages

suite: build ## the catalogue on no mesh at all, where every attack must win, and on Envoy
	go test -short -count=1 -run TestScenarios ./scenarios/runner -args -mesh none
	$(ENVOY) go test -short -count=1 -timeout 20m ./scenarios/runner -args -mesh envoy

meshes: build ## tests that need the programs of Consul and Istio, which make e2e MESH=... gets
	$(ENVOY) go test $(RACE) -count=1 -p 1 -timeout 30m ./clusters/meshes/consul ./clusters/meshes/istio ./clusters/platform/kubeapi
	$(ENVOY) go test -count=1 -timeout 20m -run 'RealMesh|ItsControlPlane|OwnRules' ./scenarios/runner

# With meshes and kind, all that make test leaves out by -short.
sweep: build ## what takes long: which misconfiguration opens what, on MESH or envoy, and runs side by side
	$(ENVOY) go test -count=1 -timeout 60m -run 'TestAMisconfigurationOpens|TestTwoRunsSideBySide' ./scenarios/runner -args -mesh $(or $(MESH),envoy)

kind: build ## tests that make clusters of kind: an engine, and the images that hack/offline makes
	go test -count=1 -p 1 -timeout 20m -run 'IsMadeUsedAndTakenAway|AKilledRun|FromARegistry|IsCancelled|CannotBeMade|LeavesAReceipt' ./clusters/providers/kind ./cmd/meshbreach

# Of the meshes' own benchmarks those of MESH. PROVIDER=kind makes a cluster each
# time and measures only what depends on the place; BENCHTIME=1x does it once.
bench: build ## benchmarks, and tables of budgets, time and memory, on mesh MESH
ifeq ($(PROVIDER),kind)
	go test -timeout 60m -run '^$$' -bench 'Up|Call|Catalogue' -benchtime $(BENCHTIME) ./scenarios/runner -args -provider kind -mesh $(or $(MESH),istio)
else
	packages=$$(go list ./... | grep -Ev '/scenarios/runner$$|/clusters/(meshes/(consul|envoy|istio)|platform/kubernetes)$$') && $(ENVOY) go test -p 1 -run '^$$' -bench . -benchmem $$packages ./clusters/meshes/$(or $(MESH),envoy)
	$(ENVOY) go test -timeout 30m -run '^$$' -bench . -benchtime $(BENCHTIME) ./scenarios/runner -args -mesh $(or $(MESH),envoy)
endif

fuzz: ## fuzz whatever reads foreign input, FUZZTIME each
	hack/fuzz $(FUZZTIME)

generate: ## write generated files anew
	go run ./hack/generate

clean: ## remove what make built and reported
	rm -rf bin
	rm -f reports/report.json reports/junit.xml reports/report.md reports/report.txt
