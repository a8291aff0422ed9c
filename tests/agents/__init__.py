"""Tests of `agents`: one module a module, with the same stem."""
