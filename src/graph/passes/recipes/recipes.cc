#include "graph/passes/recipes/recipes.h"

#include <array>

namespace birkhoff::graph {

std::span<const Recipe* const> AllRecipes() {
  static constexpr std::array kAll = {&kMhcFirst, &kMhcTailRecipe};
  return kAll;
}

}  // namespace birkhoff::graph
