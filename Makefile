# One entry per job; `make` prints them.
.DEFAULT_GOAL := help
SHELL := /bin/bash

GOLANGCI_LINT := v2.15.0
GOVULNCHECK   := v1.8.0
NFPM          := v2.45.2
FUZZTIME      ?= 20s
PLATFORMS     := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

TOOLS := $(CURDIR)/bin/tools
lint  := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT)
vuln  := $(TOOLS)/govulncheck-$(GOVULNCHECK)
nfpm  := $(TOOLS)/nfpm-$(NFPM)

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: check-go ## build bin/rollcall, a static binary
	@CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/rollcall ./cmd/rollcall

.PHONY: run
run: build ## build and run, as in: make run ARGS="plan hq"
	@bin/rollcall $(ARGS)

.PHONY: demo
demo: build ## the server with a sample directory that changes by itself; Ctrl-C ends it (DEMO="--listen 127.0.0.1:9000")
	@bin/rollcall demo $(DEMO)

.PHONY: tour
tour: check-go ## the same on the command line: OpenLDAP, planned and synchronised before your eyes
	@scripts/install-tools.sh slapd
	@scripts/demo.sh

# The embedded database is C turned into Go: watched by the race detector it is ten
# times slower, and none of its memory is ours. All Go is watched, its driver too: a
# package that uses sync.Map has the map's generic code built along with it, the linker
# keeps one such copy for the whole program, and where it keeps one that is not watched,
# every user of a sync.Map is reported as a race (as with the driver from 1.61 on).
watched := -gcflags=modernc.org/sqlite/lib=-race=false

# Sixty programs of tests are linked, and nobody looks into them with a debugger.
lean := -ldflags='-s -w'

# Vet is part of make lint, and not done twice. These run without the detector, beside
# the others: they wait more than they compute.
plain := ./internal/app/browser ./internal/source/ldap/simulated

# Those that take longest begin first, so that none of them is left over at the end.
long := ./internal/store/storetest ./internal/source/ldap ./internal/source/ldap/servertest ./internal/cli ./internal/endpoint/api ./internal/operate ./internal/deliver/scim

.PHONY: test
test: check-go ## every test, with the race detector, against real servers
	@scripts/install-tools.sh gcc slapd postgresql samba 389ds apacheds node chromium apache-oidc
	@mkdir -p bin; status=0; \
	CGO_ENABLED=0 go test $(lean) -timeout 20m $(plain) >bin/plain.log 2>&1 & \
	CGO_ENABLED=1 go test -race -vet=off $(watched) $(lean) -timeout 20m $(long) $$(go list ./... | grep -v internal/app/browser) || status=1; \
	wait $$! || status=1; \
	echo "without the race detector: the console in a browser, and all faults of the simulated directory again:"; \
	cat bin/plain.log; \
	exit $$status
	@echo
	@echo "Every test ran; none may skip. Not run here: make fuzz (fuzzing beyond the saved inputs), make bench (measurements),"
	@echo "make cross (other platforms), make tour (the command line with OpenLDAP). make test-all runs these too, but for the measurements."

.PHONY: screenshots
screenshots: check-go ## pictures of every page of the console, light and dark, wide and narrow, into bin/screenshots (ONLY=people for some)
	@scripts/install-tools.sh node chromium
	@mkdir -p bin/screenshots
	@go test -count=1 -timeout 20m ./internal/app/browser -pictures $(CURDIR)/bin/screenshots -only "$(ONLY)"
	@echo "bin/screenshots:" && ls bin/screenshots | wc -l

.PHONY: torture
torture: check-go ## three nodes on one PostgreSQL, killed 200 times under load; new rules for 200 installations
	@scripts/install-tools.sh postgresql
	@go test -count=1 -timeout 20m -run TestNodesThatAreKilled ./internal/operate -torture 200
	@go test -count=1 -timeout 20m -run TestNewRulesArePlanned ./internal/store/storetest -offices 200

.PHONY: test-all
test-all: lint test torture fuzz cross tour packages ## lint, test, torture, fuzz, cross, tour and packages
	@echo "Not run: make bench (measurements need a quiet machine)."

.PHONY: bench
bench: build ## measure against ldapsearch and bare inserts; prints docs/benchmarks.md (BENCH="-people 10000" for a part, BENCH="-connections 10000" for many small ones, BENCH="-vendors 100000" for Entra ID, Okta and Google, "-agent 100000", "-scim 500", "-signin 2000", "-console 100000")
	@scripts/install-tools.sh slapd postgresql >&2
	@go run ./bench $(BENCH)

.PHONY: fuzz
fuzz: check-go ## fuzz every target for FUZZTIME (20s) each
	@scripts/fuzz.sh $(FUZZTIME)

.PHONY: lint
lint: check-go $(lint) $(vuln) ## golangci-lint, govulncheck and the scripts' syntax
	@for script in scripts/*.sh .ci/run; do bash -n $$script || exit 1; done
	@CGO_ENABLED=0 $(lint) run ./...
	@scripts/vulnerabilities.sh $(vuln)

.PHONY: docs
docs: check-go ## write the generated parts of docs/ anew
	@go run ./internal/rig/cmd/docs

.PHONY: verify
verify: check-go ## the modules are what go.sum says, go.mod is tidy, generated docs are up to date
	@go mod verify
	@go mod tidy -diff
	@go run ./internal/rig/cmd/docs -check

.PHONY: cross
cross: check-go ## build for every platform we ship for, and vet what is for Windows, tests as well
	@for p in $(PLATFORMS); do \
		out=bin/cross/rollcall-$${p/\//-}; [[ $$p == windows/* ]] && out=$$out.exe; \
		echo "$$out"; \
		CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} go build -trimpath -ldflags '-s -w' -o $$out ./cmd/rollcall || exit 1; \
	done
	@CGO_ENABLED=0 GOOS=windows go vet ./...

.PHONY: packages
packages: check-go $(nfpm) ## deb and rpm of server and agent, the program for Windows, the image, and their sums, into bin/packages; installed and started for a try, best as root (VERSION=1.2.3)
	@scripts/packages.sh $(nfpm)
	@scripts/packages-test.sh

.PHONY: install-tools
install-tools: ## what test and bench need on a Debian machine (as root): gcc, OpenLDAP, PostgreSQL, Samba, 389 DS, ApacheDS, Node, Chromium, Apache with mod_auth_openidc
	@scripts/install-tools.sh gcc slapd postgresql samba 389ds apacheds node chromium apache-oidc

.PHONY: clean
clean: ## remove what was built
	@rm -rf bin

.PHONY: check-go
check-go:
	@scripts/check-go.sh

# Tools are built from their pinned versions with the project's own toolchain.
$(lint):
	@echo "building golangci-lint $(GOLANGCI_LINT) (once, about two minutes)"
	@GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)
	@mv $(TOOLS)/golangci-lint $@

$(nfpm):
	@echo "building nfpm $(NFPM) (once)"
	@GOBIN=$(TOOLS) go install github.com/goreleaser/nfpm/v2/cmd/nfpm@$(NFPM)
	@mv $(TOOLS)/nfpm $@

$(vuln):
	@echo "building govulncheck $(GOVULNCHECK) (once)"
	@GOBIN=$(TOOLS) go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK)
	@mv $(TOOLS)/govulncheck $@
