# `make` prints this help. Two commands do everything on a fresh machine: `make run` and `make test`.
# CI calls the same targets: check, test, accept.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
ACCEPT := ../shared/acceptance/accept

# Tests that measure time, or whose runs want the whole machine: one at a time. All others go two at a time.
ALONE := $(addprefix tests/,bench dashboard e2e/test_hosted.py e2e/test_live_changes.py e2e/test_survival.py e2e/test_zero_copy.py)

# Real peers that the tests start: servers for RTSP and RTMP, brokers, a browser, ffprobe as a second opinion.
PEERS := ffmpeg gir1.2-gst-rtsp-server-1.0 gir1.2-gst-plugins-base-1.0 python3-gi gstreamer1.0-tools \
  gstreamer1.0-rtsp gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad \
  gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-x curl procps \
  nginx libnginx-mod-rtmp mosquitto nats-server redis-server chromium prometheus debootstrap podman crun

.DEFAULT_GOAL := help
.PHONY: help run test check accept bench peers lock clean

help: ## show this help
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20
	@echo "  make run SOURCE=rtsp://… ARGS='--model yolox_nano --out out'"

run: $(VENV)/.run ## set up and run the engine on SOURCE (default: the built-in scene)
	$(BIN)/engine-run --profile m3-cpu $(if $(SOURCE),--source '$(SOURCE)') $(ARGS)

test: $(VENV)/.dev peers ## set up and run all tests (STRICT=1: lacking data or peers is a failure)
	$(if $(STRICT),STRICT=1) $(BIN)/python -m pytest -n 2 --dist loadfile $(addprefix --ignore=,$(ALONE)) $(ARGS)
	$(if $(STRICT),STRICT=1) $(BIN)/python -m pytest $(ALONE) $(ARGS)

check: $(VENV)/.dev ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

accept: $(VENV)/.dev peers ## the checks from the outside, where they are present
	@if [ -x $(ACCEPT) ]; then BIN=$(CURDIR)/$(BIN) $(ACCEPT); else echo "no $(ACCEPT): nothing to do"; fi

bench: $(VENV)/.dev ## measure everything (about half an hour; ARGS=--list); see docs/benchmarks.md
	$(BIN)/python -m bench.all $(ARGS)

peers: ## install the system packages that tests talk to (Debian, as root); elsewhere those tests skip
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  dpkg -s $(PEERS) >/dev/null 2>&1 || { apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(PEERS) >/dev/null; }; \
	else echo "peers are not installed automatically here; with them more tests run: apt-get install $(PEERS)"; fi

lock: ## write the exact versions of a fresh environment into requirements.lock
	rm -rf $(VENV)/lock && $(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet '.[dev,gpu]'
	{ grep '^#' requirements.lock; \
	  $(VENV)/lock/bin/python -m pip list --format=freeze --exclude camring --exclude sam2 --exclude pip --exclude setuptools \
	  | sed -E 's/^(torch==[^+]*)\+.*/\1/; s/^triton==.*/triton>=3.7.1,<3.10/'; } > $(VENV)/lock/new
	mv $(VENV)/lock/new requirements.lock
	rm -rf $(VENV)/lock

clean: ## remove the environment and everything built
	rm -rf $(VENV) build dist out

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml requirements.lock | $(VENV)/bin/python
	$(PIP) -c requirements.lock -e '.[webrtc]'
	@touch $@

# sam2 would be built against the newest torch, with CUDA, if it were built on its own: it takes the one that is there.
$(VENV)/.dev: pyproject.toml requirements.lock requirements-sam2.lock requirements-trackeval.lock \
  requirements-ipycam.lock | $(VENV)/bin/python
	$(PIP) -c requirements.lock -e '.[dev]'
	SAM2_BUILD_CUDA=0 $(PIP) --no-deps --no-build-isolation --require-hashes -r requirements-sam2.lock
	$(PIP) --no-deps --require-hashes -r requirements-trackeval.lock
	$(PIP) --no-deps --require-hashes -r requirements-ipycam.lock
	@touch $@ $(VENV)/.run
