"""A signal controller in software: its own timing law, its own conflict monitor, an SNMP agent.

Nothing here imports `signals.guard`: the controller is what can contradict it.
"""
