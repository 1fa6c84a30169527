// How every call of Birkhoff says that it could not do what was asked.
//
// A Status is either ok or a code with a message; the message names what was expected and what
// came. A Result<T> is a Status or a T. Neither throws. Both are cheap to move and must not be
// ignored.
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace birkhoff {

enum class StatusCode {
  kOk = 0,
  kInvalidArgument,  // a value, shape, dtype, flag or file content is wrong
  kNotFound,         // a file, tensor or name does not exist
  kOutOfRange,       // a valid thing that exceeds a limit: context length, memory
  kUnsupported,      // well formed, but nothing in this build can do it
  kIoError,          // the operating system failed to read, write or map
  kInternal,         // a bug of Birkhoff
};

std::string_view StatusCodeName(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  static Status Ok() { return {}; }
  static Status InvalidArgument(std::string m) {
    return {StatusCode::kInvalidArgument, std::move(m)};
  }
  static Status NotFound(std::string m) { return {StatusCode::kNotFound, std::move(m)}; }
  static Status OutOfRange(std::string m) { return {StatusCode::kOutOfRange, std::move(m)}; }
  static Status Unsupported(std::string m) { return {StatusCode::kUnsupported, std::move(m)}; }
  static Status IoError(std::string m) { return {StatusCode::kIoError, std::move(m)}; }
  static Status Internal(std::string m) { return {StatusCode::kInternal, std::move(m)}; }

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // "invalid argument: ..." or "ok".
  std::string ToString() const;

  // The same error with "`context`: " in front of its message, so that a caller can name the file
  // or the tensor.
  Status Annotate(std::string_view context) const;

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_ = {};
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {  // NOLINT(google-explicit-constructor)
    assert(!status_.ok() && "a Result without a value needs an error");
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  T& value() & {
    assert(ok());
    return *value_;
  }
  const T& value() const& {
    assert(ok());
    return *value_;
  }
  T&& value() && {
    assert(ok());
    return *std::move(value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  Status status_ = {};
  std::optional<T> value_ = {};
};

}  // namespace birkhoff

// NOLINTBEGIN(bugprone-macro-parentheses): `lhs` is a declaration, a path is pasted
#define BK_CONCAT_INNER(a, b) a##b
#define BK_CONCAT(a, b) BK_CONCAT_INNER(a, b)

// Returns from the enclosing function when `expr` is an error.
#define BK_RETURN_IF_ERROR(expr)             \
  do {                                       \
    ::birkhoff::Status bk_status_ = (expr);  \
    if (!bk_status_.ok()) return bk_status_; \
  } while (false)

// BK_ASSIGN_OR_RETURN(auto x, F()): x is F()'s value, or the enclosing function returns F()'s
// error.
#define BK_ASSIGN_OR_RETURN(lhs, expr) \
  BK_ASSIGN_OR_RETURN_INNER(BK_CONCAT(bk_result_, __LINE__), lhs, expr)
#define BK_ASSIGN_OR_RETURN_INNER(tmp, lhs, expr) \
  auto tmp = (expr);                              \
  if (!tmp.ok()) return tmp.status();             \
  lhs = std::move(tmp).value()
// NOLINTEND(bugprone-macro-parentheses)
