"""Tests of `schemas`: one module a module, with the same stem."""
