#include "graph/passes/recipes/recipes.h"

#include <array>

namespace birkhoff::graph {

std::span<const Recipe* const> AllRecipes() {
  static constexpr std::array kAll = {&kFoldQuantMhc,        &kFoldQuantNorm,     &kFoldQuantSwiglu,
                                      &kMhcBoundaryNorm,     &kMhcBoundaryRecipe, &kMhcFirst,
                                      &kMhcTailRecipe,       &kMlaDualRms,        &kNormRopeRecipe,
                                      &kNormRopeWriteRecipe, &kRopeWriteRecipe};
  return kAll;
}

}  // namespace birkhoff::graph
