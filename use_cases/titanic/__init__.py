"""Titanic: given a passenger, did they survive?"""
