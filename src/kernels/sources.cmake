# One source per op and folder; the name of a source is the name of its kernel.
list(APPEND ref_sources
  rms_norm.cc
)
list(APPEND cpu_sources
  rms_norm.cc
)
