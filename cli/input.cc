#include "input.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <system_error>
#include <utility>

#include "flags.h"

namespace birkhoff::cli {

namespace {

constexpr std::string_view kSeparators = ", \t\r\n[]";

Result<std::string> Drain(std::FILE* file, const std::string& name) {
  std::string text;
  char chunk[65536];
  std::size_t n = 0;
  while ((n = std::fread(chunk, 1, sizeof(chunk), file)) > 0) text.append(chunk, n);
  if (std::ferror(file) != 0) {
    return Status::IoError(fmt::format("{}: cannot read: {}", name, std::strerror(errno)));
  }
  return text;
}

Result<std::vector<std::int32_t>> ReadIds(const InputFlags& flags) {
  if (flags.ids) return ParseIds(*flags.ids, "--ids");
  BK_ASSIGN_OR_RETURN(const std::string text, ReadAll(*flags.ids_file));
  return ParseIds(text, *flags.ids_file);
}

}  // namespace

void AddTextFlags(Flags& flags, InputFlags& input) {
  flags.Subject("-p,--prompt,--text", input.text, "TEXT", "the text itself");
  flags.Subject("-f,--file", input.file, "PATH",
                "read the text from a file; - is stdin, as is a pipe without any of these");
}

void AddIdFlags(Flags& flags, InputFlags& input) {
  flags.Subject("--ids", input.ids, "LIST", "token ids: 0,17,42");
  flags.Subject("--ids-file", input.ids_file, "PATH", "read token ids from a file; - is stdin");
}

Result<std::string> ReadAll(const std::string& path) {
  if (path == "-") return Drain(stdin, "stdin");
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             &std::fclose);
  if (file == nullptr) {
    const std::string why = fmt::format("{}: cannot open: {}", path, std::strerror(errno));
    return errno == ENOENT ? Status::NotFound(why) : Status::IoError(why);
  }
  return Drain(file.get(), path);
}

Result<Input> ReadInput(const InputFlags& flags) {
  const int given = int{flags.text.has_value()} + int{flags.file.has_value()} +
                    int{flags.ids.has_value()} + int{flags.ids_file.has_value()};
  if (given > 1) {
    return Status::InvalidArgument(fmt::format(
        "expected one input, found {}: --prompt, --file, --ids and --ids-file exclude each other",
        given));
  }
  Input input;
  if (flags.ids || flags.ids_file) {
    BK_ASSIGN_OR_RETURN(input.ids, ReadIds(flags));
  } else if (flags.text) {
    input.text = *flags.text;
  } else if (flags.file) {
    BK_ASSIGN_OR_RETURN(input.text, ReadAll(*flags.file));
  } else if (isatty(STDIN_FILENO) == 0) {
    BK_ASSIGN_OR_RETURN(std::string piped, ReadAll("-"));
    if (!piped.empty()) input.text = std::move(piped);
  }
  return input;
}

Result<std::vector<std::int32_t>> ParseIds(std::string_view text, std::string_view where) {
  std::vector<std::int32_t> ids;
  std::size_t at = 0;
  while ((at = text.find_first_not_of(kSeparators, at)) != std::string_view::npos) {
    const std::size_t end = std::min(text.find_first_of(kSeparators, at), text.size());
    std::int32_t id = 0;
    const auto [stop, error] = std::from_chars(text.data() + at, text.data() + end, id);
    if (error != std::errc() || stop != text.data() + end) {
      return Status::InvalidArgument(
          fmt::format("{}: expected token ids separated by commas or blanks, found '{}' at byte {}",
                      where, text.substr(at, std::min<std::size_t>(end - at, 40)), at));
    }
    ids.push_back(id);
    at = end;
  }
  return ids;
}

Status CheckIds(std::span<const std::int32_t> ids, std::int64_t vocab) {
  if (ids.empty()) {
    return Status::InvalidArgument(
        fmt::format("expected at least one token id in 0 .. {}, found none", vocab - 1));
  }
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocab) {
      return Status::InvalidArgument(
          fmt::format("token id {} at position {}: expected 0 .. {}", ids[i], i, vocab - 1));
    }
  }
  return Status::Ok();
}

Result<const Tokenizer*> NeedTokenizer(const Engine& engine) {
  if (engine.tokenizer() == nullptr) {
    return Status::NotFound(fmt::format(
        "{}/tokenizer.json: not found, and text needs it; 'birkhoff score --ids' works without",
        engine.options().model));
  }
  return engine.tokenizer();
}

std::vector<std::int32_t> EncodeDocument(const Tokenizer& tokenizer, std::string_view text,
                                         bool no_bos) {
  std::vector<std::int32_t> ids = tokenizer.Encode(text);
  const std::optional<std::int32_t> bos = tokenizer.bos_id();
  if (!no_bos && bos) ids.insert(ids.begin(), *bos);
  return ids;
}

Result<std::vector<std::int32_t>> InputIds(const Engine& engine, const Input& input, bool no_bos) {
  std::vector<std::int32_t> ids;
  if (input.text) {
    BK_ASSIGN_OR_RETURN(const Tokenizer* tokenizer, NeedTokenizer(engine));
    ids = EncodeDocument(*tokenizer, *input.text, no_bos);
  } else if (input.ids) {
    ids = *input.ids;
  }
  BK_RETURN_IF_ERROR(CheckIds(ids, engine.info().vocab));
  return ids;
}

}  // namespace birkhoff::cli
