# make demo   simulated mice, from nothing to figures     make test   the whole suite
# make docs   the documentation as HTML, in docs/_build
# make torture   kills, full disks, damaged files, wrong command lines: one table
# Each sets up its own environment in .venv first; only python3 (3.11 or newer) is needed.

PYTHON ?= python3
BIN := .venv/bin
export MPLBACKEND := Agg

.PHONY: demo test docs torture clean

demo: .venv/installed
	rm -rf demo
	$(BIN)/python mouse_triplets.py --config configs/demo.yaml --job train --ckpt_path demo/bams-mouse-triplet.pt
	$(BIN)/python mouse_triplets.py --config configs/demo.yaml --job compute_representations \
	    --ckpt_path demo/bams-mouse-triplet.pt
	$(BIN)/python mouse_triplets.py --config configs/demo.yaml --job evaluate --baselines \
	    --submission demo/bams-mouse-triplet_submission.npy --ckpt_path demo/bams-mouse-triplet.pt
	$(BIN)/python -m benchmarks.simulated_mice --ckpt_path demo/bams-mouse-triplet.pt \
	    --data_root demo/simulated --figure demo/latents.png
	@echo
	@echo "demo/bams-mouse-triplet.pt              the trained model (see docs/checkpoint.md: what is in it)"
	@echo "demo/bams-mouse-triplet_submission.npy  embeddings of the test clips, as the MABe evaluator takes them"
	@echo "demo/bams-mouse-triplet_submission_scores.csv  their scores by the protocol of MABe 2022"
	@echo "demo/latents.png                        both embeddings, coloured by what the mice did and by their strain"
	@echo "demo/simulated                          the simulated files and the causes behind them"
	@echo "curves: $(BIN)/tensorboard --logdir demo/runs"

test: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m pytest

docs: .venv/docs_installed
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build
	@echo "open docs/_build/index.html"

torture: .venv/installed
	OMP_NUM_THREADS=1 TQDM_DISABLE=1 $(BIN)/python -m torture

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "bams needs Python 3.11 or newer: make PYTHON=python3.12, say")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev,poses]"
	touch $@

.venv/docs_installed: .venv/installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[docs]"
	touch $@

clean:
	rm -rf .venv demo build docs/_build docs/generated *.egg-info .pytest_cache .ruff_cache .hypothesis
