// SPDX-License-Identifier: GPL-2.0-only
// Kernel globals: each use of an external variable or function's address becomes the address that
// the guest's symbol table gives.
#include "llview.hpp"

#include <llvm/IR/ReplaceConstant.h>

using namespace llvm;

namespace llview
{

static bool isKernelSymbol(const GlobalObject &G)
{
	if (!G.isDeclaration() || G.use_empty() || G.getName().starts_with("llvm."))
		return false;
	auto *F = dyn_cast<Function>(&G);

	return !F || !(isRoot(*F) || F->isIntrinsic() || Runtime::isCallable(F->getName()) ||
		       F->getName().starts_with("__llv_"));
}

static Instruction *insertionPoint(Use &U)
{
	auto *I = cast<Instruction>(U.getUser());

	if (auto *Phi = dyn_cast<PHINode>(I))
		return Phi->getIncomingBlock(U)->getTerminator();
	return I;
}

static void lowerSymbol(GlobalObject &G, Runtime &RT, Relocations &Rel, Diagnostics &Diag)
{
	DenseMap<BasicBlock *, Value *> InPhis;

	for (Use &U : make_early_inc_range(G.uses())) {
		auto *I = dyn_cast<Instruction>(U.getUser());

		if (!I)
			continue; // The initialiser of a constant: refused where that is verified.
		if (auto *C = dyn_cast<CallBase>(I); C && C->isCallee(&U))
			continue; // A call: refused by verify().
		Instruction *At = insertionPoint(U);
		IRBuilder<> B(At);
		B.SetCurrentDebugLocation(I->getDebugLoc());
		auto Address = [&] {
			return B.CreateIntToPtr(
				RT.value(B, Rel.make(OVM_LLV_SYMBOL, G.getName(), "", 0, 0, *I)),
				U->getType());
		};
		if (!isa<PHINode>(I)) {
			U.set(Address());
			continue;
		}
		Value *&InPhi = InPhis[At->getParent()];
		if (!InPhi)
			InPhi = Address();
		U.set(InPhi);
	}
}

void lowerSymbols(Module &M, Runtime &RT, Relocations &Rel, Diagnostics &Diag)
{
	SmallVector<Constant *, 32> Constants;
	SmallVector<GlobalObject *, 32> Objects;

	for (GlobalObject &G : M.global_objects()) {
		if (!isKernelSymbol(G))
			continue;
		Constants.push_back(&G);
		Objects.push_back(&G);
	}
	convertUsersOfConstantsToInstructions(Constants);
	for (GlobalObject *G : Objects)
		lowerSymbol(*G, RT, Rel, Diag);
}

} // namespace llview
