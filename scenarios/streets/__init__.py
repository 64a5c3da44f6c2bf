"""Sites of several junctions: the second format of the site file, its net, demand and plans."""
