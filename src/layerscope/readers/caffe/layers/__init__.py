"""Caffe's layer types, a module for each of Caffe's layer families."""
