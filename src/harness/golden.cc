#include "harness/golden.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace birkhoff::harness {

namespace {

constexpr std::int64_t kAny = -1;

template <class T>
constexpr DType kTypeOf = DType::kF32;
template <>
constexpr DType kTypeOf<std::int32_t> = DType::kI32;

class Reader {
 public:
  Reader(const io::SafetensorsFile& file, std::string prompt)
      : file_(file), prompt_(std::move(prompt)) {}

  // The tensor "<prompt>.<field>", or nothing when the file lacks it. `elements` counts all.
  template <class T>
  Status Read(std::string_view field, std::int64_t elements, std::vector<T>& to) const {
    const std::string name = fmt::format("{}.{}", prompt_, field);
    const Result<ConstTensorView> view = file_.Find(name);
    if (!view.ok()) {
      return view.status().code() == StatusCode::kNotFound ? Status::Ok() : view.status();
    }
    const ConstTensorView& v = view.value();
    if (v.dtype != kTypeOf<T> || (elements != kAny && v.shape.elements() != elements)) {
      const std::string count = elements == kAny ? "any number of" : fmt::format("{}", elements);
      return Status::InvalidArgument(fmt::format("{}: {}: expected {} {} elements, found {} {}",
                                                 file_.path(), name, count, Name(kTypeOf<T>),
                                                 Name(v.dtype), v.shape.ToString()));
    }
    to.resize(static_cast<std::size_t>(v.shape.elements()));
    std::memcpy(to.data(), v.data, to.size() * sizeof(T));  // the file may be misaligned
    return Status::Ok();
  }

 private:
  const io::SafetensorsFile& file_;
  std::string prompt_ = {};
};

Result<GoldenPrompt> ReadPrompt(const io::SafetensorsFile& file, const std::string& name) {
  const Reader reader(file, name);
  GoldenPrompt p;
  p.name = name;
  BK_RETURN_IF_ERROR(reader.Read("ids", kAny, p.ids));
  const auto tokens = static_cast<std::int64_t>(p.ids.size());
  if (tokens == 0) {
    return Status::InvalidArgument(
        fmt::format("{}: {}.ids: expected at least one token, found none", file.path(), name));
  }
  BK_RETURN_IF_ERROR(reader.Read("logits_last", kAny, p.logits_last));
  BK_RETURN_IF_ERROR(reader.Read("token_logprobs", tokens - 1, p.token_logprobs));
  BK_RETURN_IF_ERROR(reader.Read("top_ids", kAny, p.top_ids));
  p.top = static_cast<std::int64_t>(p.top_ids.size()) / tokens;
  BK_RETURN_IF_ERROR(reader.Read("top_logprobs", p.top * tokens, p.top_logprobs));
  BK_RETURN_IF_ERROR(reader.Read("greedy", kAny, p.greedy));
  BK_RETURN_IF_ERROR(
      reader.Read("greedy_margin", static_cast<std::int64_t>(p.greedy.size()), p.greedy_margin));
  BK_RETURN_IF_ERROR(reader.Read("streams", kAny, p.streams));
  BK_RETURN_IF_ERROR(reader.Read("mtp_top1", tokens, p.mtp_top1));
  BK_RETURN_IF_ERROR(reader.Read("mtp_logits_last", kAny, p.mtp_logits_last));
  return p;
}

}  // namespace

Result<std::vector<GoldenPrompt>> ReadGoldens(const std::string& path) {
  BK_ASSIGN_OR_RETURN(const io::SafetensorsFile file, io::SafetensorsFile::Open(path));
  constexpr std::string_view kIds = ".ids";
  std::vector<std::string> names;
  for (const io::TensorEntry& entry : file.tensors()) {
    if (entry.name.ends_with(kIds)) {
      names.push_back(entry.name.substr(0, entry.name.size() - kIds.size()));
    }
  }
  if (names.empty()) {
    return Status::InvalidArgument(
        fmt::format("{}: expected tensors '0.ids', '1.ids', ..., found none", path));
  }
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
    return std::pair(std::atoi(a.c_str()), a) < std::pair(std::atoi(b.c_str()), b);
  });
  std::vector<GoldenPrompt> prompts;
  for (const std::string& name : names) {
    BK_ASSIGN_OR_RETURN(GoldenPrompt prompt, ReadPrompt(file, name));
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

}  // namespace birkhoff::harness
