.PHONY: install test lint bench clean

install:  ## the package, editable, with everything a developer needs
	python -m pip install -e '.[dev]'

test:  ## the tests, without the exhaustive matrix (that is: pytest -m exhaustive)
	python -m pytest

lint:  ## style and types
	python -m ruff check .
	python -m mypy

bench:  ## every op and whole training steps, cpu against reference
	python -m pytest benchmarks --benchmark-only

clean:  ## everything that can be made again
	rm -rf build dist .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
