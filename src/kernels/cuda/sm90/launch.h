// Launches with the attributes of Hopper.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace birkhoff::cuda::sm90 {

class Launch {
 public:
  Launch(unsigned blocks, int threads, int shared, cudaStream_t stream) {
    config_.gridDim = dim3(blocks);
    config_.blockDim = dim3(static_cast<unsigned>(threads));
    config_.dynamicSmemBytes = static_cast<std::size_t>(shared);
    config_.stream = stream;
  }

  // Blocks in clusters of so many.
  void Clusters(unsigned blocks) {
    cudaLaunchAttribute& a = attributes_[config_.numAttrs++];
    a.id = cudaLaunchAttributeClusterDimension;
    a.val.clusterDim = {blocks, 1, 1};
  }

  // May start while the kernel before it on the stream ends; it waits itself, by
  // ptx::WaitForPrevious().
  void AfterPrevious() {
    cudaLaunchAttribute& a = attributes_[config_.numAttrs++];
    a.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    a.val.programmaticStreamSerializationAllowed = 1;
  }

  const cudaLaunchConfig_t* config() {
    config_.attrs = attributes_;
    return &config_;
  }

  template <class Args>
  void Enqueue(void (*kernel)(Args), const Args& args) {
    cudaLaunchKernelEx(config(), kernel, args);
  }

 private:
  cudaLaunchAttribute attributes_[2] = {};
  cudaLaunchConfig_t config_ = {};
};

template <class Args>
void AllowShared(void (*kernel)(Args), int bytes) {
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
}

// Calls f.template operator()<H>() for a width that IsBuiltFor().
template <class F>
void WithHidden(std::int64_t hidden, F f) {
  if (hidden == 4096) {
    f.template operator()<4096>();
  } else if (hidden == 5120) {
    f.template operator()<5120>();
  } else {
    f.template operator()<7168>();
  }
}

}  // namespace birkhoff::cuda::sm90
