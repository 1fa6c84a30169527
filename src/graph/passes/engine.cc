#include "graph/passes/engine.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "base/fnv.h"
#include "graph/print.h"
#include "graph/verify.h"

namespace birkhoff::graph {
namespace {

template <class Names>
bool Has(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Patterns of all recipes, by recipe.
using Patterns = std::map<const Recipe*, Pattern>;

Status CheckNames(std::span<const Recipe* const> recipes, const FusionSettings& settings) {
  std::vector<std::string_view> known;
  for (const Recipe* r : recipes) known.push_back(r->name);
  for (const auto* names : {&settings.enable, &settings.disable, &settings.only}) {
    for (const std::string& name : *names) {
      if (Has(known, name)) continue;
      return Status::InvalidArgument(
          fmt::format("fusion: no recipe \"{}\"; there are {}", name, fmt::join(known, ", ")));
    }
  }
  return {};
}

// By phase, then as declared, then the larger pattern first, then by name.
Result<std::vector<const Recipe*>> Ordered(std::span<const Recipe* const> recipes,
                                           const Patterns& patterns) {
  std::vector<const Recipe*> left(recipes.begin(), recipes.end());
  const auto size = [&](const Recipe* r) { return patterns.at(r).graph.nodes.size(); };
  std::sort(left.begin(), left.end(), [&](const Recipe* a, const Recipe* b) {
    if (a->phase != b->phase) return a->phase < b->phase;
    if (size(a) != size(b)) return size(a) > size(b);
    return a->name < b->name;
  });
  const auto waits = [&](const Recipe* r) {
    return std::any_of(left.begin(), left.end(), [&](const Recipe* other) {
      if (other == r || other->phase != r->phase) return other->phase < r->phase;
      return Has(r->after, other->name) || Has(r->needs, other->name);
    });
  };
  std::vector<const Recipe*> order;
  while (!left.empty()) {
    const auto next = std::find_if_not(left.begin(), left.end(), waits);
    if (next == left.end())
      return Status::InvalidArgument(
          fmt::format("fusion: {} and others wait for each other", left[0]->name));
    order.push_back(*next);
    left.erase(next);
  }
  return order;
}

bool IsAskedFor(const Recipe& r, const FusionSettings& settings) {
  return Has(settings.enable, r.name) || Has(settings.only, r.name);
}

// Why a recipe does not run; empty: it does.
std::string WhyOff(const Recipe& r, const FusionSettings& settings,
                   const std::vector<const Recipe*>& ran) {
  if (Has(settings.disable, r.name)) return "disabled";
  if (!settings.only.empty() && !Has(settings.only, r.name)) return "not among the only ones";
  if (!IsAskedFor(r, settings) && r.level > settings.level) return "of a higher level";
  for (const std::string_view name : r.needs) {
    if (std::none_of(ran.begin(), ran.end(), [&](const Recipe* o) { return o->name == name; }))
      return fmt::format("needs {}, which is off", name);
  }
  return {};
}

// One sweep of a recipe.
class Sweep {
 public:
  // pays_on: the device that it must pay on; null: anywhere.
  Sweep(Graph& graph, const Recipe& recipe, const Pattern& pattern, const Device* pays_on,
        RecipeReport& report)
      : graph_(graph), recipe_(recipe), pattern_(pattern), pays_on_(pays_on), report_(report) {}

  // Errors  kInternal  the recipe is wrong
  Status Run() {
    const Matcher matcher(pattern_, RarestNode(pattern_, graph_));
    Uses uses(graph_);
    for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
      if (graph_.nodes[n].op != matcher.root_op()) continue;
      Status status;
      std::optional<int> gated;
      const auto replace = [&](const Binding& binding) -> Refusal {
        if (Refusal refusal = Refuses(uses, binding)) return refusal;
        const auto last = std::max_element(binding.nodes.begin(), binding.nodes.end());
        const int layer = graph_.At(*last).labels.layer;
        if (recipe_.pays != nullptr && pays_on_ != nullptr) {
          if (Refusal refusal = recipe_.pays(*pays_on_, graph_, binding, pattern_)) {
            report_.why_gated = refusal.why();
            gated = layer;
            return refusal;
          }
        }
        status = Replace(graph_, pattern_, binding, recipe_.emit);
        if (!status.ok()) return Refusal(status.message());
        ++matched_[layer];
        return {};
      };
      Miss miss;
      const auto binding = matcher.At(graph_, uses, static_cast<int>(n), replace, miss);
      if (status.code() == StatusCode::kInternal) return status.Annotate(std::string(recipe_.name));
      if (binding) {
        uses = Uses(graph_);  // and what follows has moved
        n = static_cast<std::size_t>(
            *std::min_element(binding->nodes.begin(), binding->nodes.end()) - 1);
        continue;
      }
      Note(static_cast<int>(n), miss);
      if (gated) ++gated_[*gated];
    }
    RemoveDead(graph_);
    for (const auto& [layer, count] : matched_) report_.matched += count;
    for (const auto& [layer, count] : gated_) report_.gated += count;
    return {};
  }

  // Searches once more from every node of the pattern: the one that Run() began at may be what is
  // gone.
  void Diagnose() {
    const Uses uses(graph_);
    const auto refuses = [&](const Binding& binding) { return Refuses(uses, binding); };
    for (int p = 0; p < pattern_size(); ++p) {
      const Matcher matcher(pattern_, p);
      for (int n = 0; n < static_cast<int>(graph_.nodes.size()); ++n) {
        Miss miss;
        if (graph_.At(n).op == matcher.root_op() && !matcher.At(graph_, uses, n, refuses, miss))
          Note(n, miss);
      }
    }
    const ops::OpDef* rarest = pattern_.graph.At(RarestNode(pattern_, graph_)).op;
    if (std::none_of(graph_.nodes.begin(), graph_.nodes.end(),
                     [&](const Node& node) { return node.op == rarest; }))
      report_.misses.push_back(
          {.steps = pattern_size(), .reason = fmt::format("no {} is left", rarest->name)});
  }

  // What it found, layer by layer; misses only where that is not what is expected.
  void Report(const std::vector<LayerInfo>& layers) {
    const bool is_expected = recipe_.expected != nullptr && !layers.empty();
    if (is_expected) report_.expected = 0;
    for (const LayerInfo& layer : layers) {
      report_.layers.push_back({layer.layer, matched_[layer.layer], gated_[layer.layer]});
      if (!is_expected) continue;
      report_.layers.back().expected = recipe_.expected(layer);
      *report_.expected += recipe_.expected(layer);
    }
    if (is_expected && FirstWrong(report_) == nullptr) return;
    if (is_expected) Diagnose();
    for (auto& [root, miss] : misses_) report_.misses.push_back(std::move(miss));
  }

 private:
  int pattern_size() const { return static_cast<int>(pattern_.graph.nodes.size()); }

  Refusal Refuses(const Uses& uses, const Binding& binding) const {
    Refusal refusal = Illegal(graph_, uses, pattern_, binding);
    if (!refusal && recipe_.guard != nullptr) refusal = recipe_.guard(graph_, binding, pattern_);
    return refusal;
  }

  void Note(int root, const Miss& miss) {
    const Node& node = graph_.At(root);
    FusionMiss& noted = misses_[node.out[0].id];
    if (!noted.root.empty() && noted.step >= miss.step) return;
    noted = {node.labels.layer, ToText(graph_, root), Summarise(graph_, root).place,
             miss.step,         pattern_size(),       miss.reason};
  }

  Graph& graph_;
  const Recipe& recipe_;
  const Pattern& pattern_;
  const Device* pays_on_ = nullptr;
  RecipeReport& report_;
  std::map<int, int> matched_ = {};        // by layer
  std::map<int, int> gated_ = {};          // by layer
  std::map<int, FusionMiss> misses_ = {};  // by the root's first result
};

// The first of the recipes that ran, on the graph as it was, after which `starved` matches less.
template <class Gate>
std::string StarvedBy(Graph graph, const std::vector<const Recipe*>& ran, const Patterns& patterns,
                      const Recipe& starved, Gate gate) {
  const auto run = [&](Graph& on, const Recipe& recipe) {
    RecipeReport report;
    const Status status = Sweep(on, recipe, patterns.at(&recipe), gate(recipe), report).Run();
    return status.ok() ? report.matched + report.gated : 0;
  };
  const auto count = [&](Graph copy) { return run(copy, starved); };
  int before = count(graph);
  for (const Recipe* r : ran) {
    run(graph, *r);
    const int now = count(graph);
    if (now < before) return std::string(r->name);
    before = now;
  }
  return {};
}

std::uint64_t Hash(const std::vector<const Recipe*>& ran) {
  std::string text;
  for (const Recipe* r : ran) text += fmt::format("{}:{};", r->name, r->version);
  return Fnv1a(text);
}

}  // namespace

const LayerMatches* FirstWrong(const RecipeReport& r) {
  const auto wrong =
      std::find_if(r.layers.begin(), r.layers.end(), [](const auto& l) { return l.IsWrong(); });
  return wrong == r.layers.end() ? nullptr : &*wrong;
}

const FusionMiss* Deepest(const RecipeReport& r, int layer) {
  const auto rank = [&](const FusionMiss& m) { return std::pair(m.step, m.layer == layer); };
  const FusionMiss* deepest = nullptr;
  for (const FusionMiss& miss : r.misses) {
    const bool is_near = layer < 0 || miss.layer == layer || miss.layer == layer - 1;
    if (!is_near && !miss.root.empty()) continue;
    if (deepest == nullptr || rank(miss) > rank(*deepest)) deepest = &miss;
  }
  return deepest;
}

std::string Shortfall(const RecipeReport& r) {
  const LayerMatches* wrong = FirstWrong(r);
  if (wrong == nullptr) return {};
  std::string text = fmt::format("fusion: {} matched {} of {}, ", r.name, r.matched, *r.expected);
  text += wrong->layer < 0 ? "around the layers" : fmt::format("in layer {}", wrong->layer);
  text += fmt::format(" {} of {}", wrong->matched, *wrong->expected);
  if (!r.starved_by.empty()) text += fmt::format("; starved by {}", r.starved_by);
  if (const FusionMiss* m = Deepest(r, wrong->layer); m != nullptr && wrong->Lacks()) {
    text += fmt::format("; deepest miss: step {} of {}, {}", m->step, m->steps, m->reason);
    if (!m->root.empty()) text += fmt::format(" at {} ({})", m->place, m->root);
  }
  return text;
}

Result<FusionReport> Fuse(Graph& graph, std::span<const Recipe* const> recipes,
                          const FusionSettings& settings, const FusionTarget& target) {
  BK_RETURN_IF_ERROR(CheckNames(recipes, settings));
  const Device& device = target.device != nullptr ? *target.device : HostDevice();
  Patterns patterns;
  for (const Recipe* r : recipes) {
    PatternBuilder b;
    r->pattern(b);
    Result<Pattern> p = std::move(b).Finish();
    if (!p.ok()) return p.status().Annotate(std::string(r->name));
    patterns.emplace(r, std::move(*p));
  }
  BK_ASSIGN_OR_RETURN(const std::vector<const Recipe*> order, Ordered(recipes, patterns));
  FusionReport report;
  report.level = settings.level;
  report.layers = target.layers;
  report.nodes_before = KernelsOf(graph);
  const Graph before = graph;
  const auto gate = [&](const Recipe& r) { return IsAskedFor(r, settings) ? nullptr : &device; };
  std::vector<const Recipe*> ran;
  for (const Recipe* recipe : order) {
    RecipeReport r = {.name = std::string(recipe->name),
                      .phase = recipe->phase,
                      .level = recipe->level,
                      .numerics = recipe->numerics,
                      .off = WhyOff(*recipe, settings, ran)};
    if (r.off.empty()) {
      const Traffic was = TrafficOf(graph);
      Sweep sweep(graph, *recipe, patterns.at(recipe), gate(*recipe), r);
      BK_RETURN_IF_ERROR(sweep.Run());
      r.saved = was - TrafficOf(graph);
      sweep.Report(target.layers);
      const LayerMatches* wrong = FirstWrong(r);
      if (settings.strict != FusionStrict::kOff && wrong != nullptr && wrong->Lacks())
        r.starved_by = StarvedBy(before, ran, patterns, *recipe, gate);
      ran.push_back(recipe);
    }
    report.recipes.push_back(std::move(r));
    if (settings.strict != FusionStrict::kError) continue;
    if (std::string text = Shortfall(report.recipes.back()); !text.empty())
      return Status::NotFound(std::move(text));
  }
  report.hash = Hash(ran);
  report.nodes_after = KernelsOf(graph);
  BK_RETURN_IF_ERROR(Verify(graph));
  return report;
}

}  // namespace birkhoff::graph
