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
    if (next == left.end()) {
      std::vector<std::string_view> names;
      for (const Recipe* r : left) names.push_back(r->name);
      return Status::InvalidArgument(
          fmt::format("fusion: {} wait for each other", fmt::join(names, ", ")));
    }
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

  void Run() {
    const Matcher matcher(pattern_, RarestNode(pattern_, graph_));
    Uses uses(graph_);
    for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
      if (graph_.nodes[n].op != matcher.root_op()) continue;
      const std::optional<Binding> binding = Find(matcher, uses, static_cast<int>(n));
      if (!binding) continue;
      const auto [first, last] = std::minmax_element(binding->nodes.begin(), binding->nodes.end());
      const int layer = graph_.At(*last).labels.layer;
      if (recipe_.pays != nullptr && pays_on_ != nullptr) {
        if (Refusal refusal = recipe_.pays(*pays_on_, graph_, *binding, pattern_)) {
          ++gated_[layer];
          ++report_.gated;
          report_.why_gated = refusal.why();
          continue;
        }
      }
      if (Status status = Replace(graph_, pattern_, *binding, recipe_.emit); !status.ok()) {
        Note(static_cast<int>(n), {pattern_size(), status.message()});
        continue;
      }
      ++matched_[layer];
      ++report_.matched;
      uses = Uses(graph_);
      n = static_cast<std::size_t>(*first) - 1;  // what follows has moved
    }
    RemoveDead(graph_);
  }

  // Searches once more from every node of the pattern: the one that Run() began at may be what is
  // gone.
  void Diagnose() {
    const Uses uses(graph_);
    for (int p = 0; p < pattern_size(); ++p) {
      const Matcher matcher(pattern_, p);
      bool is_there = false;
      for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
        if (graph_.nodes[n].op != matcher.root_op()) continue;
        is_there = true;
        Find(matcher, uses, static_cast<int>(n));
      }
      if (!is_there)
        report_.misses.push_back({.steps = pattern_size(),
                                  .reason = fmt::format("no {} is left", matcher.root_op()->name)});
    }
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

  std::optional<Binding> Find(const Matcher& matcher, const Uses& uses, int root) {
    const auto refuses = [&](const Binding& binding) -> Refusal {
      Refusal refusal = Illegal(graph_, uses, pattern_, binding);
      if (!refusal && recipe_.guard != nullptr) refusal = recipe_.guard(graph_, binding, pattern_);
      return refusal;
    };
    Miss miss;
    std::optional<Binding> binding = matcher.At(graph_, uses, root, refuses, miss);
    if (!binding) Note(root, miss);
    return binding;
  }

  void Note(int root, const Miss& miss) {
    const Node& node = graph_.At(root);
    FusionMiss& noted = misses_[node.out.empty() ? -root : node.out[0].id];
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
std::string StarvedBy(Graph graph, const std::vector<const Recipe*>& ran, const Patterns& patterns,
                      const Recipe& starved) {
  const auto run = [&](Graph& on, const Recipe& recipe) {
    RecipeReport report;
    Sweep(on, recipe, patterns.at(&recipe), nullptr, report).Run();
    return report.matched;
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
  // Outside of layers (-1) is before the first and behind the last.
  const auto is_near = [&](int other) { return layer < 0 || other == layer || other == layer - 1; };
  const FusionMiss* deepest = nullptr;
  for (const FusionMiss& miss : r.misses) {
    if (!is_near(miss.layer)) continue;
    if (deepest == nullptr || miss.step > deepest->step ||
        (miss.step == deepest->step && miss.layer == layer && deepest->layer != layer))
      deepest = &miss;
  }
  return deepest;
}

std::string Shortfall(const RecipeReport& r) {
  const LayerMatches* wrong = FirstWrong(r);
  if (wrong == nullptr) return {};
  std::string text =
      fmt::format("fusion: {} matched {} of {}, in layer {} {} of {}", r.name, r.matched,
                  *r.expected, wrong->layer, wrong->matched, *wrong->expected);
  if (!r.starved_by.empty()) text += fmt::format("; starved by {}", r.starved_by);
  if (const FusionMiss* m = Deepest(r, wrong->layer); m != nullptr)
    text += fmt::format("; deepest miss: step {} of {}, {} at {} ({})", m->step, m->steps,
                        m->reason, m->place, m->root);
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
  std::vector<const Recipe*> ran;
  for (const Recipe* recipe : order) {
    RecipeReport r = {.name = std::string(recipe->name),
                      .phase = recipe->phase,
                      .level = recipe->level,
                      .numerics = recipe->numerics,
                      .off = WhyOff(*recipe, settings, ran)};
    if (r.off.empty()) {
      const Traffic was = TrafficOf(graph);
      Sweep sweep(graph, *recipe, patterns.at(recipe),
                  IsAskedFor(*recipe, settings) ? nullptr : &device, r);
      sweep.Run();
      r.saved = was - TrafficOf(graph);
      sweep.Report(target.layers);
      if (settings.strict != FusionStrict::kOff && FirstWrong(r) != nullptr)
        r.starved_by = StarvedBy(before, ran, patterns, *recipe);
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
