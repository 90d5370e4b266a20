"""Scores storefront visits event by event: conversion, abandonment, churn and segment."""

__version__ = "0.1.0"
