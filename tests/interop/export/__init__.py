"""Tests of networks written for other programs."""
