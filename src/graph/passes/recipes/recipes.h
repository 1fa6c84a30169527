// Every recipe, one file each.
#pragma once

#include <span>

#include "graph/passes/recipe.h"

namespace birkhoff::graph {

extern const Recipe kMhcFirst;
extern const Recipe kMhcBoundaryRecipe;
extern const Recipe kMhcBoundaryNorm;
extern const Recipe kMhcTailRecipe;
extern const Recipe kMlaDualRms;
extern const Recipe kNormRopeRecipe;
extern const Recipe kNormRopeWriteRecipe;
extern const Recipe kRopeWriteRecipe;
extern const Recipe kFoldQuantNorm;
extern const Recipe kFoldQuantSwiglu;
extern const Recipe kFoldQuantMhc;

std::span<const Recipe* const> AllRecipes();

}  // namespace birkhoff::graph
