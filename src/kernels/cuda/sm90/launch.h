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

// A kernel whose blocks work in clusters of `size`.
template <class Args>
struct ClusterKernel {
  void (*kernel)(Args);
  unsigned size;
  int threads;
  int shared;  // bytes of a block

  // Once for each kernel, before Enqueue(): more shared memory and larger clusters than it has by
  // default. How many fit on the GPU at once; 0 where it has none.
  int Allow() const {
    AllowShared(kernel, shared);
    cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1);
    Launch launch = Of(1, nullptr);
    int most = 0;
    if (cudaOccupancyMaxActiveClusters(&most, kernel, launch.config()) == cudaSuccess) return most;
    (void)cudaGetLastError();  // said by the 0
    return 0;
  }

  void Enqueue(std::int64_t clusters, const Args& args, cudaStream_t stream) const {
    Launch launch = Of(clusters, stream);
    launch.AfterPrevious();
    launch.Enqueue(kernel, args);
  }

 private:
  Launch Of(std::int64_t clusters, cudaStream_t stream) const {
    Launch launch(size * static_cast<unsigned>(clusters), threads, shared, stream);
    launch.Clusters(size);
    return launch;
  }
};

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
