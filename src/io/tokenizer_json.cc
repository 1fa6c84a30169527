// Reads tokenizer.json. What the file asks for and Birkhoff does not do is refused by name.
#include <fmt/format.h>

#include <array>
#include <system_error>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/files.h"
#include "io/json_value.h"
#include "io/tokenizer_impl.h"
#include "io/utf8.h"

namespace birkhoff {
namespace {

using io::JsonValue;
using Kind = io::JsonValue::Kind;

constexpr std::size_t kLargestFile = std::size_t{256} << 20;

// The printable character that stands for a byte in the vocabulary: its own code point for 33-126,
// 161-172 and 174-255, the others in order from 256 on.
std::array<char32_t, 256> ByteCharacters() {
  std::array<char32_t, 256> characters = {};
  char32_t next = 256;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool own = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    characters[byte] = own ? byte : next++;
  }
  return characters;
}

class ByteAlphabet {
 public:
  ByteAlphabet() {
    for (std::size_t byte = 0; byte < 256; ++byte) bytes_[characters_[byte]] = byte;
  }

  std::string Name(std::size_t byte) const {
    std::string name;
    io::AppendUtf8(characters_[byte], &name);
    return name;
  }

  // The bytes that `name` stands for; `name` itself if it has a character that stands for none.
  std::string Bytes(std::string_view name) const {
    std::string bytes;
    for (std::string_view rest = name; !rest.empty();) {
      const io::Utf8Unit unit = io::NextUtf8(rest);
      const auto it = bytes_.find(unit.character);
      if (unit.kind != io::Utf8Kind::kValid || it == bytes_.end()) return std::string(name);
      bytes.push_back(static_cast<char>(it->second));
      rest.remove_prefix(unit.size);
    }
    return bytes;
  }

 private:
  std::array<char32_t, 256> characters_ = ByteCharacters();
  std::unordered_map<char32_t, std::size_t> bytes_ = {};
};

Result<const JsonValue*> Need(const JsonValue& object, std::string_view key, Kind kind,
                              std::string_view where) {
  const JsonValue* value = object.Find(key);
  if (value != nullptr && value->Is(kind)) return value;
  return Status::InvalidArgument(
      fmt::format("{}.{}: expected {}, found {}", where, key, io::JsonKindName(kind),
                  value == nullptr ? "nothing" : io::JsonKindName(value->kind)));
}

// A field that changes what the step does must be absent or have its neutral value.
Status NeedNeutral(const JsonValue& object, std::string_view key, std::string_view neutral,
                   std::string_view where) {
  const JsonValue* value = object.Find(key);
  const std::string written = value == nullptr ? std::string(neutral) : io::ToPythonJson(*value);
  if (written == neutral) return {};
  return Status::Unsupported(
      fmt::format("{}.{} is {}, supported is {}", where, key, written, neutral));
}

std::string_view TypeOf(const JsonValue& object) {
  const JsonValue* type = object.Find("type");
  return type != nullptr && type->Is(Kind::kString) ? std::string_view(type->text) : "nothing";
}

class Reader {
 public:
  Status Read(const JsonValue& root) {
    if (!root.Is(Kind::kObject)) {
      return Status::InvalidArgument(
          fmt::format("expected an object, found {}", io::JsonKindName(root.kind)));
    }
    BK_RETURN_IF_ERROR(CheckNormalizer(root));
    BK_RETURN_IF_ERROR(ReadPreTokenizer(root));
    const JsonValue* decoder = root.Find("decoder");
    if (decoder != nullptr && TypeOf(*decoder) != "ByteLevel") {
      return Status::Unsupported(
          fmt::format("decoder is {}, supported is ByteLevel", TypeOf(*decoder)));
    }
    BK_ASSIGN_OR_RETURN(const JsonValue* model, Need(root, "model", Kind::kObject, "root"));
    BK_RETURN_IF_ERROR(CheckModel(*model));
    BK_ASSIGN_OR_RETURN(const JsonValue* vocab, Need(*model, "vocab", Kind::kObject, "model"));
    BK_ASSIGN_OR_RETURN(const JsonValue* merges, Need(*model, "merges", Kind::kArray, "model"));
    BoundIds(*vocab, root.Find("added_tokens"));
    BK_RETURN_IF_ERROR(ReadVocab(*vocab));
    BK_RETURN_IF_ERROR(ReadMerges(*merges));
    return ReadAddedTokens(root);
  }

  Status ReadConfig(const JsonValue& root) {
    BK_RETURN_IF_ERROR(ReadConfigToken(root, "bos_token", &impl_.bos));
    return ReadConfigToken(root, "eos_token", &impl_.eos);
  }

  Tokenizer::Impl Take() && { return std::move(impl_); }

 private:
  static Status CheckNormalizer(const JsonValue& root) {
    const JsonValue* normalizer = root.Find("normalizer");
    if (normalizer == nullptr) return {};
    const JsonValue* steps = normalizer->Find("normalizers");
    if (TypeOf(*normalizer) == "Sequence" && steps != nullptr && steps->items.empty()) return {};
    return Status::Unsupported(
        fmt::format("normalizer {} is not supported, only none", TypeOf(*normalizer)));
  }

  Status ReadPreTokenizer(const JsonValue& root) {
    BK_ASSIGN_OR_RETURN(const JsonValue* outer, Need(root, "pre_tokenizer", Kind::kObject, "root"));
    if (TypeOf(*outer) != "Sequence") return ReadStep(*outer, "pre_tokenizer", /*last=*/true);
    BK_ASSIGN_OR_RETURN(const JsonValue* steps,
                        Need(*outer, "pretokenizers", Kind::kArray, "pre_tokenizer"));
    if (steps->items.empty()) {
      return Status::Unsupported("pre_tokenizer has no steps, expected ByteLevel as the last");
    }
    for (std::size_t i = 0; i < steps->items.size(); ++i) {
      BK_RETURN_IF_ERROR(ReadStep(steps->items[i], fmt::format("pre_tokenizer[{}]", i),
                                  i + 1 == steps->items.size()));
    }
    return {};
  }

  Status ReadStep(const JsonValue& step, const std::string& where, bool last) {
    const std::string_view expected = last ? "ByteLevel" : "Split";
    if (TypeOf(step) != expected) {
      return Status::Unsupported(
          fmt::format("{} is {}, supported here is {}", where, TypeOf(step), expected));
    }
    if (last) {
      BK_RETURN_IF_ERROR(NeedNeutral(step, "add_prefix_space", "false", where));
      // Absent means true here: the step would split by a regular expression that is not in the
      // file.
      if (step.Find("use_regex") == nullptr) {
        return Status::Unsupported(where + ".use_regex is absent, supported is false");
      }
      return NeedNeutral(step, "use_regex", "false", where);
    }
    BK_RETURN_IF_ERROR(NeedNeutral(step, "behavior", "\"Isolated\"", where));
    BK_RETURN_IF_ERROR(NeedNeutral(step, "invert", "false", where));
    BK_ASSIGN_OR_RETURN(const JsonValue* pattern, Need(step, "pattern", Kind::kObject, where));
    BK_ASSIGN_OR_RETURN(const JsonValue* regex,
                        Need(*pattern, "Regex", Kind::kString, where + ".pattern"));
    Result<io::SplitPattern> split = io::SplitPattern::Compile(regex->text);
    if (!split.ok()) return split.status().Annotate(where);
    impl_.splits.push_back(std::move(*split));
    return {};
  }

  static Status CheckModel(const JsonValue& model) {
    if (TypeOf(model) != "BPE") {
      return Status::Unsupported(fmt::format("model.type is {}, supported is BPE", TypeOf(model)));
    }
    for (const std::string_view key : {"byte_fallback", "ignore_merges"}) {
      BK_RETURN_IF_ERROR(NeedNeutral(model, key, "false", "model"));
    }
    for (const std::string_view key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      BK_RETURN_IF_ERROR(NeedNeutral(model, key, "\"\"", "model"));
    }
    return NeedNeutral(model, "dropout", "0.0", "model");
  }

  // Ids index tables: a single absurd one in a small file must not cost the memory of all below it.
  void BoundIds(const JsonValue& vocab, const JsonValue* added) {
    entries_ = vocab.items.size() + (added != nullptr ? added->items.size() : 0);
    id_limit_ = static_cast<std::int64_t>(4 * entries_ + 65536);
  }

  Status Place(std::int64_t id, std::string_view name, std::string text, std::string_view where) {
    if (id < 0 || id >= id_limit_) {
      return Status::InvalidArgument(fmt::format(
          "{}: id {} of \"{}\" is not in [0, {}), which is what a file of {} tokens may use", where,
          id, name, id_limit_, entries_));
    }
    const auto index = static_cast<std::size_t>(id);
    if (index >= impl_.tokens.size()) {
      impl_.tokens.resize(index + 1);
      names_.resize(index + 1);
    }
    const auto [known, is_new] = ids_.emplace(name, static_cast<std::int32_t>(id));
    if (known->second != id || (!names_[index].empty() && names_[index] != name)) {
      return Status::InvalidArgument(
          fmt::format("{}: \"{}\" has id {}, but \"{}\" has id {}", where, name, id,
                      known->second != id ? name : names_[index], known->second));
    }
    names_[index] = name;
    impl_.tokens[index].text = std::move(text);
    return {};
  }

  Status ReadVocab(const JsonValue& vocab) {
    ids_.reserve(vocab.items.size());
    for (std::size_t i = 0; i < vocab.items.size(); ++i) {
      const std::string& name = vocab.keys[i];
      const std::optional<std::int64_t> id = vocab.items[i].Integer();
      if (name.empty() || !id) {
        return Status::InvalidArgument(
            fmt::format("model.vocab: expected a token and its integer id, found \"{}\": {}", name,
                        io::ToPythonJson(vocab.items[i])));
      }
      BK_RETURN_IF_ERROR(Place(*id, name, alphabet_.Bytes(name), "model.vocab"));
    }
    return {};
  }

  Result<std::int32_t> IdOf(std::string_view name) const {
    const auto it = ids_.find(name);
    if (it != ids_.end()) return it->second;
    return Status::InvalidArgument(fmt::format("\"{}\" is not in the vocabulary", name));
  }

  // ["a", "b"] or "a b".
  Result<io::Bpe::Merge> ReadMerge(const JsonValue& merge) const {
    std::string left;
    std::string right;
    if (merge.Is(Kind::kString)) {
      const std::size_t space = merge.text.find(' ');
      left = merge.text.substr(0, space);
      if (space != std::string::npos) right = merge.text.substr(space + 1);
    } else if (merge.items.size() == 2 && merge.items[0].Is(Kind::kString) &&
               merge.items[1].Is(Kind::kString)) {
      left = merge.items[0].text;
      right = merge.items[1].text;
    }
    if (left.empty() || right.empty()) {
      return Status::InvalidArgument(
          fmt::format("expected two tokens, found {}", io::ToPythonJson(merge)));
    }
    io::Bpe::Merge ids;
    BK_ASSIGN_OR_RETURN(ids.left, IdOf(left));
    BK_ASSIGN_OR_RETURN(ids.right, IdOf(right));
    BK_ASSIGN_OR_RETURN(ids.result, IdOf(left + right));
    return ids;
  }

  Status ReadMerges(const JsonValue& list) {
    std::array<std::int32_t, 256> byte_ids = {};
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const Result<std::int32_t> id = IdOf(alphabet_.Name(byte));
      if (!id.ok()) {
        return id.status().Annotate(fmt::format("model.vocab: the token of byte {:#04x}", byte));
      }
      byte_ids[byte] = *id;
    }
    std::vector<io::Bpe::Merge> merges;
    merges.reserve(list.items.size());
    for (const JsonValue& item : list.items) {
      const Result<io::Bpe::Merge> merge = ReadMerge(item);
      if (!merge.ok()) {
        return merge.status().Annotate(fmt::format("model.merges[{}]", merges.size()));
      }
      merges.push_back(*merge);
    }
    impl_.bpe = io::Bpe(byte_ids, std::move(merges));
    return {};
  }

  Status ReadAddedTokens(const JsonValue& root) {
    const JsonValue* list = root.Find("added_tokens");
    if (list == nullptr) return {};
    std::unordered_set<std::int64_t> seen;
    std::vector<io::AddedTokens::Token> added;
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      const JsonValue& item = list->items[i];
      const std::string where = fmt::format("added_tokens[{}]", i);
      BK_ASSIGN_OR_RETURN(const JsonValue* content, Need(item, "content", Kind::kString, where));
      BK_ASSIGN_OR_RETURN(const JsonValue* id, Need(item, "id", Kind::kNumber, where));
      for (const std::string_view key : {"single_word", "lstrip", "rstrip"}) {
        BK_RETURN_IF_ERROR(NeedNeutral(item, key, "false", where));
      }
      if (content->text.empty() || !seen.insert(id->Integer().value_or(-1)).second) {
        return Status::InvalidArgument(
            fmt::format("{}: expected a text and an id of its own, found \"{}\" with id {}", where,
                        content->text, id->text));
      }
      BK_RETURN_IF_ERROR(Place(id->Integer().value_or(-1), content->text, content->text, where));
      const auto index = static_cast<std::int32_t>(*id->Integer());
      const JsonValue* special = item.Find("special");
      impl_.tokens[index].special = special != nullptr && special->text == "true";
      added.push_back({content->text, index});
    }
    impl_.added = io::AddedTokens(std::move(added));
    return {};
  }

  // A string or {"content": string}.
  Status ReadConfigToken(const JsonValue& root, std::string_view key,
                         std::optional<std::int32_t>* id) const {
    const JsonValue* value = root.Find(key);
    if (value == nullptr) return {};
    const JsonValue* content = value->Is(Kind::kObject) ? value->Find("content") : value;
    const io::AddedTokens::Token* token =
        content != nullptr ? impl_.added.Find(content->text) : nullptr;
    if (token == nullptr) {
      return Status::InvalidArgument(fmt::format(
          "{}: expected the text of an added token, found {}", key, io::ToPythonJson(*value)));
    }
    *id = token->id;
    return {};
  }

  ByteAlphabet alphabet_ = {};
  std::size_t entries_ = 0;  // of vocab and added_tokens
  std::int64_t id_limit_ = 0;
  // Names are those of the file, not bytes; the views point into the JSON tree.
  std::unordered_map<std::string_view, std::int32_t> ids_ = {};
  std::vector<std::string_view> names_ = {};
  Tokenizer::Impl impl_ = {};
};

}  // namespace

Result<Tokenizer> Tokenizer::FromJson(std::string_view tokenizer_json,
                                      std::string_view config_json) {
  Result<JsonValue> root = io::ParseJson(tokenizer_json);
  if (!root.ok()) return root.status().Annotate("tokenizer.json");
  Reader reader;
  Status status = reader.Read(*root);
  if (!status.ok()) return status.Annotate("tokenizer.json");
  if (!config_json.empty()) {
    Result<JsonValue> config = io::ParseJson(config_json);
    status = config.ok() ? reader.ReadConfig(*config) : config.status();
    if (!status.ok()) return status.Annotate("tokenizer_config.json");
  }
  return Tokenizer(std::make_shared<const Impl>(std::move(reader).Take()));
}

Result<Tokenizer> Tokenizer::Load(const std::filesystem::path& path) {
  std::error_code ignored;
  const bool is_folder = std::filesystem::is_directory(path, ignored);
  const std::filesystem::path file = is_folder ? path / "tokenizer.json" : path;
  BK_ASSIGN_OR_RETURN(const std::string text, ReadFile(file, kLargestFile));
  std::string config;
  const std::filesystem::path config_file = file.parent_path() / "tokenizer_config.json";
  if (std::filesystem::exists(config_file, ignored)) {
    BK_ASSIGN_OR_RETURN(config, ReadFile(config_file, kLargestFile));
  }
  Result<Tokenizer> tokenizer = FromJson(text, config);
  if (!tokenizer.ok()) return tokenizer.status().Annotate(path.string());
  return tokenizer;
}

}  // namespace birkhoff
