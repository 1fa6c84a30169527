// birkhoff score: how likely a model finds a text.
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "flags.h"
#include "input.h"
#include "json_out.h"
#include "progress.h"

namespace birkhoff::cli {

namespace {

constexpr const char* kExamples = R"(birkhoff score --ids 0,17,42
birkhoff score --text "The quick brown fox" --top 3
birkhoff score --ids-file prompt.ids --logits --precision f32 > score.json)";

struct ScoreFlags {
  ModelFlags model = {};
  InputFlags input = {};
  ScoreOptions score = {};
  bool no_bos = false;
};

Json ToJson(const std::vector<std::int32_t>& ids, const ScoreResult& result,
            const ScoreOptions& options) {
  Json json;
  json["ids"] = ids;
  json["token_logprobs"] = JsonNumbers(result.token_logprobs);
  json["top_ids"] = result.top_ids;
  Json top = Json::array();
  for (const std::vector<float>& row : result.top_logprobs) top.push_back(JsonNumbers(row));
  json["top_logprobs"] = std::move(top);
  if (options.logits_last) json["logits_last"] = JsonNumbers(result.logits_last);
  if (options.draft) {
    json["draft_top1"] = result.draft_top1;
    if (options.logits_last) json["draft_logits_last"] = JsonNumbers(result.draft_logits_last);
  }
  return json;
}

Result<Exit> Score(const ScoreFlags& flags) {
  BK_ASSIGN_OR_RETURN(const Input input, ReadInput(flags.input));
  if (!input.text && !input.ids) {
    return Status::InvalidArgument(
        "no input: expected --ids, --ids-file, --text, --file or a pipe");
  }
  BK_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, LoadEngine(flags.model));
  BK_ASSIGN_OR_RETURN(const std::vector<std::int32_t> ids, InputIds(*engine, input, flags.no_bos));
  if (flags.score.draft && !engine->info().has_draft) {
    return Status::InvalidArgument(
        "--draft: expected a model with a draft (MTP) layer in memory, this one has none");
  }
  ProgressBar bar;
  BK_ASSIGN_OR_RETURN(const ScoreResult result, engine->Score(ids, flags.score, bar.Callback()));
  bar.Clear();
  PrintJson(ToJson(ids, result, flags.score));
  return Exit::kOk;
}

}  // namespace

void AddScore(CLI::App& app, Action& chosen) {
  auto f = std::make_shared<ScoreFlags>();
  Flags flags(app, "score", "Print the log-probabilities of a text as JSON (natural log).",
              kExamples);
  AddModelFlags(flags, f->model);
  AddIdFlags(flags, f->input);
  AddTextFlags(flags, f->input);
  flags.Switch("--no-bos", f->no_bos, "do not put the begin token in front of a text");
  flags.Value("--top", f->score.top, "N", "likeliest next tokens to list at every position")
      ->check(CLI::Range(0, 1 << 20));
  flags.Switch("--logits", f->score.logits_last, "also all logits after the last token");
  flags.Switch("--draft", f->score.draft, "also what the draft (MTP) layer would say");
  flags.app().callback([f, &chosen] { chosen = [f] { return Score(*f); }; });
}

}  // namespace birkhoff::cli
