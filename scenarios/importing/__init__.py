"""Scenarios from what is at hand: a SUMO net, an OSM extract, routes, counts, police plans."""
