#include "io/safetensors_header.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <array>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/strict_json.h"

namespace birkhoff::io {
namespace {

using Json = nlohmann::json;

struct FormatType {
  std::string_view name = {};
  unsigned bits = 0;
  std::optional<DType> dtype = {};
};

constexpr std::array kFormatTypes = {
    FormatType{"F32", 32, DType::kF32},
    FormatType{"BF16", 16, DType::kBF16},
    FormatType{"F16", 16, DType::kF16},
    FormatType{"F8_E4M3", 8, DType::kF8E4M3},
    FormatType{"F8_E8M0", 8, DType::kF8E8M0},
    FormatType{"I8", 8, DType::kI8},
    FormatType{"U8", 8, DType::kU8},
    FormatType{"I32", 32, DType::kI32},
    FormatType{"I64", 64, DType::kI64},
    FormatType{"BOOL", 8, {}},
    FormatType{"F4", 4, {}},
    FormatType{"F6_E2M3", 6, {}},
    FormatType{"F6_E3M2", 6, {}},
    FormatType{"F8_E5M2", 8, {}},
    FormatType{"F8_E4M3FNUZ", 8, {}},
    FormatType{"F8_E5M2FNUZ", 8, {}},
    FormatType{"I16", 16, {}},
    FormatType{"U16", 16, {}},
    FormatType{"U32", 32, {}},
    FormatType{"F64", 64, {}},
    FormatType{"U64", 64, {}},
    FormatType{"C64", 64, {}},
};

const FormatType* FindType(std::string_view name) {
  for (const FormatType& t : kFormatTypes) {
    if (t.name == name) return &t;
  }
  return nullptr;
}

// One tensor's fields as they were read.
struct RawTensor {
  std::optional<std::string> dtype = {};
  std::optional<std::vector<std::uint64_t>> shape = {};
  std::optional<std::vector<std::uint64_t>> offsets = {};
};

// Bytes of a tensor, or nothing when the number does not fit or is not a whole number of bytes.
std::optional<std::uint64_t> TensorBytes(const std::vector<std::uint64_t>& shape, unsigned bits) {
  std::uint64_t total = 1;
  for (const std::uint64_t d : shape) {
    if (d > std::numeric_limits<std::int64_t>::max() || __builtin_mul_overflow(total, d, &total))
      return {};
  }
  if (__builtin_mul_overflow(total, std::uint64_t{bits}, &total) || total % 8 != 0) return {};
  return total / 8;
}

Result<TensorEntry> Check(const std::string& name, const RawTensor& raw, std::size_t data_size) {
  const auto error = [&](const std::string& message) {
    return Status::InvalidArgument(fmt::format("tensor '{}': {}", name, message));
  };
  if (!raw.dtype) return error("'dtype' is missing");
  if (!raw.shape) return error("'shape' is missing");
  if (!raw.offsets) return error("'data_offsets' is missing");
  const FormatType* type = FindType(*raw.dtype);
  if (type == nullptr) return error(fmt::format("unknown dtype '{}'", *raw.dtype));

  const auto& shape = *raw.shape;
  if (shape.size() > Shape::kMaxRank) {
    return error(fmt::format("shape [{}] has rank {}, at most {} is supported",
                             fmt::join(shape, ", "), shape.size(), Shape::kMaxRank));
  }
  const auto bytes = TensorBytes(shape, type->bits);
  if (!bytes) {
    return error(fmt::format("shape [{}] of {} is not a whole number of bytes below 2^61",
                             fmt::join(shape, ", "), type->name));
  }

  if (raw.offsets->size() != 2)
    return error(fmt::format("'data_offsets' has {} entries, expected 2", raw.offsets->size()));
  const std::uint64_t begin = (*raw.offsets)[0];
  const std::uint64_t end = (*raw.offsets)[1];
  if (begin > end) return error(fmt::format("data_offsets [{}, {}] are reversed", begin, end));
  if (end > data_size) {
    return error(fmt::format("data_offsets [{}, {}] end beyond the {} bytes of data: truncated?",
                             begin, end, data_size));
  }
  if (end - begin != *bytes) {
    return error(fmt::format("shape [{}] of {} needs {} bytes, data_offsets [{}, {}] give {}",
                             fmt::join(shape, ", "), type->name, *bytes, begin, end, end - begin));
  }

  TensorEntry entry = {
      .name = name, .dtype_name = *raw.dtype, .dtype = type->dtype, .begin = begin, .end = end};
  for (const std::uint64_t d : shape) entry.shape.Append(static_cast<std::int64_t>(d));
  return entry;
}

// Receives the header's tokens. The only shape that it lets through is
//   {"__metadata__": {"key": "text", ...}, "tensor": {"dtype": "F32", "shape": [..],
//   "data_offsets": [.., ..]}, ...}
// so nesting is bounded, and nothing is kept of what is refused. Every event returns false to stop.
class HeaderReader : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderReader(std::size_t data_size) : data_size_(data_size) {}

  SafetensorsHeader TakeHeader() { return std::move(header_); }
  const Status& status() const { return status_; }

  bool start_object(std::size_t) override {
    if (level_ == Level::kStart) return Enter(Level::kRoot);
    if (level_ != Level::kRoot) return Unexpected("an object");
    raw_ = {};
    return Enter(tensor_ == "__metadata__" ? Level::kMetadata : Level::kTensor);
  }

  bool key(std::string& text) override {
    if (level_ == Level::kRoot) {
      tensor_ = text;
      return names_.insert(text).second || Fail(fmt::format("duplicate key '{}'", text));
    }
    field_ = text;
    if (level_ == Level::kMetadata) {
      return !header_.metadata.contains(text) ||
             Fail(fmt::format("__metadata__: duplicate key '{}'", text));
    }
    const bool seen = (text == "dtype" && raw_.dtype) || (text == "shape" && raw_.shape) ||
                      (text == "data_offsets" && raw_.offsets);
    return !seen || Fail(fmt::format("tensor '{}': duplicate key '{}'", tensor_, text));
  }

  bool end_object() override {
    if (level_ == Level::kRoot) return Enter(Level::kEnd);
    if (level_ == Level::kTensor) {
      auto entry = Check(tensor_, raw_, data_size_);
      if (!entry.ok()) return Fail(entry.status().message());
      header_.tensors.push_back(std::move(entry).value());
    }
    return Enter(Level::kRoot);
  }

  bool start_array(std::size_t) override {
    if (level_ != Level::kTensor || (field_ != "shape" && field_ != "data_offsets"))
      return Unexpected("an array");
    (field_ == "shape" ? raw_.shape : raw_.offsets).emplace();
    return Enter(Level::kArray);
  }

  bool end_array() override { return Enter(Level::kTensor); }

  bool string(std::string& text) override {
    if (level_ == Level::kMetadata) {
      header_.metadata.emplace(field_, text);
    } else if (level_ == Level::kTensor && field_ == "dtype") {
      raw_.dtype = text;
    } else {
      return Unexpected(fmt::format("'{}'", text));
    }
    return true;
  }

  bool number_unsigned(std::uint64_t value) override {
    if (level_ != Level::kArray) return Unexpected(fmt::format("{}", value));
    (field_ == "shape" ? raw_.shape : raw_.offsets)->push_back(value);
    return true;
  }

  bool number_integer(std::int64_t value) override { return Unexpected(fmt::format("{}", value)); }
  bool number_float(double, const std::string& text) override { return Unexpected(text); }
  bool boolean(bool value) override { return Unexpected(value ? "true" : "false"); }
  bool null() override { return Unexpected("null"); }
  bool binary(Json::binary_t&) override { return Unexpected("binary data"); }

  bool parse_error(std::size_t, const std::string&, const Json::exception& e) override {
    return Fail(fmt::format("the header is not JSON: {}", JsonErrorText(e.what())));
  }

 private:
  enum class Level { kStart, kRoot, kTensor, kMetadata, kArray, kEnd };

  bool Enter(Level level) {
    level_ = level;
    return true;
  }

  bool Fail(std::string message) {
    status_ = Status::InvalidArgument(std::move(message));
    return false;
  }

  // `what` stands where the format has no place for it.
  bool Unexpected(std::string_view what) {
    switch (level_) {
      case Level::kMetadata:
        return Fail(fmt::format("__metadata__: '{}' is {}, expected a string", field_, what));
      case Level::kRoot:
        return Fail(fmt::format("tensor '{}': is {}, expected an object", tensor_, what));
      case Level::kTensor:
      case Level::kArray: {
        const std::string_view expected = field_ == "dtype" ? "a string"
                                          : field_ == "shape" || field_ == "data_offsets"
                                              ? "an array of non-negative integers below 2^64"
                                              : "no such key";
        return Fail(fmt::format("tensor '{}': '{}' holds {}, expected {}", tensor_, field_, what,
                                expected));
      }
      default: return Fail(fmt::format("the header is {}, expected an object", what));
    }
  }

  std::size_t data_size_ = 0;
  Status status_ = {};
  SafetensorsHeader header_ = {};
  std::unordered_set<std::string> names_ = {};
  Level level_ = Level::kStart;
  std::string tensor_ = {};
  std::string field_ = {};
  RawTensor raw_ = {};
};

}  // namespace

Result<SafetensorsHeader> ParseHeaderJson(std::string_view json, std::size_t data_size) {
  if (json.empty() || json.front() != '{') {
    return Status::InvalidArgument(
        fmt::format("the header begins with byte 0x{:02x}, expected '{{'",
                    json.empty() ? 0u : static_cast<unsigned char>(json.front())));
  }
  // The parser takes a NUL for the end of the text and would ignore what follows.
  if (const auto nul = json.find('\0'); nul != json.npos) {
    return Status::InvalidArgument(fmt::format("the header is not JSON: byte {} is NUL", nul));
  }
  HeaderReader reader(data_size);
  const bool parsed = Json::sax_parse(json.begin(), json.end(), &reader);
  if (!parsed) return reader.status();
  return reader.TakeHeader();
}

}  // namespace birkhoff::io
