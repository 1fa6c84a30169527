#include "graph/passes/engine.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

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
      return Has(r->after, other->name) || Has(other->before, r->name);
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

// Why a recipe does not run; empty: it does.
std::string WhyOff(const Recipe& r, const FusionSettings& settings, const Device& device) {
  if (Has(settings.disable, r.name)) return "disabled";
  if (!settings.only.empty() && !Has(settings.only, r.name)) return "not among the only ones";
  const bool asked = Has(settings.enable, r.name) || !settings.only.empty();
  if (!asked && r.level > settings.level) return "of a higher level";
  if (r.pays != nullptr && !asked) {
    if (const Refusal refusal = r.pays(device)) return "refused: " + refusal.why();
  }
  return {};
}

// One sweep of a recipe.
class Sweep {
 public:
  Sweep(Graph& graph, const Recipe& recipe, const Pattern& pattern, RecipeReport& report)
      : graph_(graph), recipe_(recipe), pattern_(pattern), report_(report) {}

  Status Run() {
    const Matcher matcher(pattern_, graph_);
    Uses uses(graph_);
    for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
      if (graph_.nodes[n].op != matcher.root_op()) continue;
      const int root = static_cast<int>(n);
      Miss miss;
      const std::optional<Binding> binding = matcher.At(graph_, uses, root, miss);
      if (!binding) {
        Note(root, miss.step, miss.steps, fmt::format("wanted {}, saw {}", miss.wanted, miss.saw));
        continue;
      }
      Refusal refusal = Illegal(graph_, uses, pattern_, *binding);
      if (!refusal && recipe_.guard != nullptr) refusal = recipe_.guard(graph_, *binding, pattern_);
      if (refusal) {
        Note(root, miss.steps, miss.steps, refusal.why());
        continue;
      }
      const int last = *std::max_element(binding->nodes.begin(), binding->nodes.end());
      ++matched_[graph_.nodes[static_cast<std::size_t>(last)].labels.layer];
      ++report_.matched;
      const int first = *std::min_element(binding->nodes.begin(), binding->nodes.end());
      BK_RETURN_IF_ERROR(Replace(graph_, pattern_, *binding, recipe_.emit));
      uses = Uses(graph_);
      n = static_cast<std::size_t>(first) - 1;  // what follows has moved
    }
    for (auto& [root, miss] : misses_) report_.misses.push_back(std::move(miss));
    return {};
  }

  int matched(int layer) const {
    const auto it = matched_.find(layer);
    return it == matched_.end() ? 0 : it->second;
  }

 private:
  void Note(int root, int step, int steps, std::string reason) {
    if (step == 0) return;
    const NodeSummary summary = Summarise(graph_, root);
    const Node& node = graph_.nodes[static_cast<std::size_t>(root)];
    misses_[node.out.empty() ? -root : node.out[0].id] = {
        node.labels.layer, ToText(graph_, root), summary.place, step, steps, std::move(reason)};
  }

  Graph& graph_;
  const Recipe& recipe_;
  const Pattern& pattern_;
  RecipeReport& report_;
  std::map<int, int> matched_ = {};        // by layer
  std::map<int, FusionMiss> misses_ = {};  // by the root's first result
};

// How often a recipe would match a graph as it stands.
int CountMatches(const Graph& graph, const Recipe& recipe, const Pattern& pattern) {
  Graph copy = graph;
  RecipeReport report;
  return Sweep(copy, recipe, pattern, report).Run().ok() ? report.matched : 0;
}

// The first of the recipes that ran, on the graph as it was, after which `starved` matches less.
std::string StarvedBy(Graph graph, const std::vector<const Recipe*>& ran, const Patterns& patterns,
                      const Recipe& starved) {
  int count = CountMatches(graph, starved, patterns.at(&starved));
  for (const Recipe* r : ran) {
    RecipeReport report;
    if (!Sweep(graph, *r, patterns.at(r), report).Run().ok()) return {};
    const int now = CountMatches(graph, starved, patterns.at(&starved));
    if (now < count) return std::string(r->name);
    count = now;
  }
  return {};
}

const FusionMiss* Deepest(const RecipeReport& report) {
  const auto it = std::max_element(report.misses.begin(), report.misses.end(),
                                   [](const auto& a, const auto& b) { return a.step < b.step; });
  return it == report.misses.end() ? nullptr : &*it;
}

// FNV-1a (Fowler, Noll, Vo): http://www.isthe.com/chongo/tech/comp/fnv/
std::uint64_t Hash(const std::vector<const Recipe*>& ran) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const Recipe* r : ran) {
    for (const char c : fmt::format("{}:{};", r->name, r->version))
      hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  }
  return hash;
}

// Fills in what a sweep found of what the layers have.
void Compare(const Sweep& sweep, const Recipe& recipe, const std::vector<LayerInfo>& layers,
             RecipeReport& r) {
  if (recipe.expected == nullptr) return;
  r.expected = 0;
  for (const LayerInfo& layer : layers) {
    r.layers.push_back({layer.layer, sweep.matched(layer.layer), recipe.expected(layer)});
    *r.expected += r.layers.back().expected;
  }
  // Where all was found, other nodes of the root's op are no misses.
  std::erase_if(r.misses, [&](const FusionMiss& miss) {
    return std::any_of(r.layers.begin(), r.layers.end(), [&](const LayerMatches& l) {
      return l.layer == miss.layer && l.matched >= l.expected;
    });
  });
}

}  // namespace

std::string Shortfall(const RecipeReport& r) {
  if (!r.off.empty() || !r.expected) return {};
  const auto wrong = std::find_if(r.layers.begin(), r.layers.end(),
                                  [](const LayerMatches& l) { return l.matched != l.expected; });
  if (wrong == r.layers.end()) return {};
  std::string text =
      fmt::format("fusion: {} matched {} of {}, in layer {} {} of {}", r.name, r.matched,
                  *r.expected, wrong->layer, wrong->matched, wrong->expected);
  if (!r.starved_by.empty()) text += fmt::format("; starved by {}", r.starved_by);
  if (const FusionMiss* m = Deepest(r); m != nullptr)
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
                      .off = WhyOff(*recipe, settings, device)};
    if (r.off.empty()) {
      const Traffic was = TrafficOf(graph);
      Sweep sweep(graph, *recipe, patterns.at(recipe), r);
      BK_RETURN_IF_ERROR(sweep.Run());
      RemoveDead(graph);
      const Traffic is = TrafficOf(graph);
      r.saved = {was.per_token - is.per_token, was.per_row - is.per_row};
      Compare(sweep, *recipe, target.layers, r);
      if (r.expected && r.matched < *r.expected)
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
