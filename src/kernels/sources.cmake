# One source per op and folder; the name of a source is the name of its kernel.
list(APPEND ref_sources
  attention.cc
  compress.cc
  elementwise.cc
  embedding.cc
  experts.cc
  index_topk.cc
  kv_write.cc
  linear.cc
  mhc_boundary.cc
  mhc_boundary_shifted.cc
  mhc_coeffs.cc
  mhc_collapse.cc
  mhc_head.cc
  mhc_post.cc
  mhc_tail.cc
  quantise.cc
  rms_norm.cc
  rope.cc
  route.cc
)
list(APPEND cpu_sources
  attention.cc
  compress.cc
  elementwise.cc
  embedding.cc
  experts.cc
  gemm.cc
  index_topk.cc
  kv_write.cc
  linear.cc
  mhc_boundary.cc
  mhc_boundary_shifted.cc
  mhc_coeffs.cc
  mhc_collapse.cc
  mhc_head.cc
  mhc_post.cc
  mhc_tail.cc
  quantise.cc
  rms_norm.cc
  rope.cc
  route.cc
)
list(APPEND gpu_sources
  cuda/mhc_pack.cu
  cuda/sm80/mhc.cu
  cuda/sm80/mhc_streams.cu
  gpu/mhc.cu
  gpu/quantise.cu
)
list(APPEND sm90_sources
  mhc_boundary.cu
  mhc_boundary_cluster.cu
  mhc_boundary_ring.cu
)
