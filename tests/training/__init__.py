"""Tests of training: what surrounds programs."""
