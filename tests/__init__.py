"""Tests of the whole repository; each folder mirrors the package that it tests."""
