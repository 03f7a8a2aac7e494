#define SKGMM_ISA baseline
#define SKGMM_LANES 2
#include "passes.hpp"
