"""Tests of `streams`: one module a module, with the same stem."""
