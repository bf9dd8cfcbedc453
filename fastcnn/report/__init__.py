"""The device report: one network trained on every device of this machine, measured, held to the reference, and written down.

schema       report.json, documented: the classes that all else fills and draws
setup        what is trained: network, data, how long
gathering    a report: every measurement in a process of its own
worker       one device, measured in such a process
operations   a training step, operation by operation
agreement    a device beside the float64 reference
torch_side   the same network, weights and data for PyTorch; torch_worker measures it, wherever torch is
tables       the report as tables of cells, drawn thrice: terminal, Markdown, HTML
charts       SVG
page         report.html
compare      two reports side by side
"""
