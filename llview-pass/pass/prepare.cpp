// SPDX-License-Identifier: GPL-2.0-only
//
// Brings a module into the form that the other steps work on: only entry points and shared
// functions are left, everything that they call has been inlined, locals whose address doesn't
// escape are registers, and code that can't run is gone.  So where a pointer comes from can be
// seen within one function.
#include "llview.hpp"

#include <llvm/ADT/SCCIterator.h>
#include <llvm/Analysis/CallGraph.h>
#include <llvm/IR/InlineAsm.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/Transforms/IPO/AlwaysInliner.h>
#include <llvm/Transforms/IPO/GlobalDCE.h>
#include <llvm/Transforms/Scalar/ADCE.h>
#include <llvm/Transforms/Scalar/InstSimplifyPass.h>
#include <llvm/Transforms/Scalar/LowerConstantIntrinsics.h>
#include <llvm/Transforms/Scalar/LowerExpectIntrinsic.h>
#include <llvm/Transforms/Scalar/SCCP.h>
#include <llvm/Transforms/Scalar/SROA.h>
#include <llvm/Transforms/Scalar/SimplifyCFG.h>

using namespace llvm;

namespace llview
{

static const char HiddenCopy[] = "__llv_hidden_copy";

bool isHiddenCopy(const Instruction &I)
{
	auto *C = dyn_cast<CallInst>(&I);

	return C && C->getCalledFunction() &&
	       C->getCalledFunction()->getName().starts_with(HiddenCopy);
}

// SROA would split a struct copy into loads at offsets of the structure as it is declared here.
static void hideCopies(Function &F)
{
	Module &M = *F.getParent();
	SmallVector<MemTransferInst *, 16> Copies;

	for (Instruction &I : instructions(F))
		if (auto *C = dyn_cast<MemTransferInst>(&I))
			Copies.push_back(C);
	for (MemTransferInst *C : Copies) {
		Value *Dst = C->getRawDest(), *Src = C->getRawSource();
		auto *G = dyn_cast<GlobalVariable>(baseOf(Src));

		if (G && G->hasInitializer())
			continue;
		std::string Name = HiddenCopy;
		Name += "." + std::to_string(Dst->getType()->getPointerAddressSpace()) + "." +
			std::to_string(Src->getType()->getPointerAddressSpace());
		IRBuilder<> B(C);
		FunctionCallee Callee = M.getOrInsertFunction(
			Name,
			FunctionType::get(B.getVoidTy(),
					  {Dst->getType(), Src->getType(), B.getInt64Ty()}, false));
		B.CreateCall(Callee,
			     {Dst, Src, B.CreateZExtOrTrunc(C->getLength(), B.getInt64Ty())});
		C->eraseFromParent();
	}
}

// Copies within host memory are ordinary ones again; whether there were any.
static bool revealCopies(Function &F)
{
	Provenance Prov;
	SmallVector<CallInst *, 16> Copies;

	for (Instruction &I : instructions(F)) {
		if (!isHiddenCopy(I))
			continue;
		Value *Src = cast<CallInst>(I).getArgOperand(1);
		if (Src->getType()->getPointerAddressSpace() == HostAS ||
		    Prov.of(Src) == Origin::Host)
			Copies.push_back(cast<CallInst>(&I));
	}
	for (CallInst *C : Copies) {
		IRBuilder<> B(C);

		B.CreateMemMove(C->getArgOperand(0), MaybeAlign(), C->getArgOperand(1),
				MaybeAlign(), C->getArgOperand(2));
		C->eraseFromParent();
	}
	return !Copies.empty();
}

bool lowerHostAccesses(Function &F)
{
	SmallVector<IntrinsicInst *, 64> Calls;
	Provenance Prov;

	for (Instruction &I : instructions(F)) {
		if (!isPreserve(&I))
			continue;
		Value *Base = cast<CallInst>(I).getArgOperand(0);
		if (Base->getType()->getPointerAddressSpace() == HostAS ||
		    Prov.of(Base) == Origin::Host)
			Calls.push_back(cast<IntrinsicInst>(&I));
	}
	for (IntrinsicInst *C : Calls) {
		IRBuilder<> B(C);
		Value *Base = C->getArgOperand(0), *New = Base;
		Type *T = C->getParamElementType(0);

		if (C->getIntrinsicID() == Intrinsic::preserve_struct_access_index) {
			New = B.CreateStructGEP(
				T, Base, cast<ConstantInt>(C->getArgOperand(1))->getZExtValue());
		} else if (C->getIntrinsicID() == Intrinsic::preserve_array_access_index) {
			SmallVector<Value *, 4> Indices(
				cast<ConstantInt>(C->getArgOperand(1))->getZExtValue(),
				B.getInt32(0));

			Indices.push_back(C->getArgOperand(2));
			New = B.CreateGEP(T, Base, Indices);
		}
		C->replaceAllUsesWith(New);
		C->eraseFromParent();
	}
	return !Calls.empty();
}

// Assembler without instructions is a compiler barrier or hides a value from the optimiser.
static void dropEmptyAssembler(Function &F)
{
	SmallVector<CallInst *, 16> Calls;

	for (Instruction &I : instructions(F)) {
		auto *C = dyn_cast<CallInst>(&I);
		auto *A = C ? dyn_cast<InlineAsm>(C->getCalledOperand()) : nullptr;

		if (A && StringRef(A->getAsmString()).trim().empty() &&
		    (C->getType()->isVoidTy() ||
		     (C->arg_size() == 1 && C->getArgOperand(0)->getType() == C->getType())))
			Calls.push_back(C);
	}
	for (CallInst *C : Calls) {
		if (!C->getType()->isVoidTy())
			C->replaceAllUsesWith(C->getArgOperand(0));
		C->eraseFromParent();
	}
}

static void dropAssumptions(Function &F)
{
	for (Instruction &I : make_early_inc_range(instructions(F)))
		if (isa<AssumeInst>(I) || isa<NoAliasScopeDeclInst>(I))
			I.eraseFromParent();
}

static void refuseRecursion(Module &M, Diagnostics &Diag)
{
	CallGraph CG(M);

	for (auto It = scc_begin(&CG); !It.isAtEnd(); ++It) {
		if (!It.hasCycle())
			continue;
		bool Root = false;
		Function *Example = nullptr;
		for (CallGraphNode *N : *It) {
			if (!N->getFunction())
				continue;
			Root |= isShared(*N->getFunction());
			Example = N->getFunction();
		}
		if (!Root && Example)
			Diag.error(*Example,
				   "recursion can't be inlined; mark the function LLV_SHARED");
	}
}

static void markForInlining(Module &M)
{
	for (Function &F : M) {
		F.removeFnAttr(Attribute::OptimizeNone);
		// What C or a header promises of a pointer isn't true of a hostile guest's.
		for (Argument &A : F.args())
			for (auto Kind : {Attribute::NonNull, Attribute::Dereferenceable,
					  Attribute::DereferenceableOrNull, Attribute::NoUndef})
				A.removeAttr(Kind);
		F.removeRetAttr(Attribute::NonNull);
		F.removeRetAttr(Attribute::NoUndef);
		if (F.isDeclaration())
			continue;
		if (isRoot(F)) {
			F.addFnAttr(Attribute::NoInline);
			F.removeFnAttr(Attribute::AlwaysInline);
			F.setVisibility(GlobalValue::HiddenVisibility);
			F.setLinkage(GlobalValue::ExternalLinkage);
		} else {
			F.removeFnAttr(Attribute::NoInline);
			F.addFnAttr(Attribute::AlwaysInline);
			F.setLinkage(GlobalValue::InternalLinkage);
			F.setComdat(nullptr);
		}
	}
}

static bool revealHost(Function &F)
{
	bool Accesses = lowerHostAccesses(F);

	return revealCopies(F) || Accesses;
}

static void settle(Function &F, FunctionAnalysisManager &FAM)
{
	auto Changed = [&] { FAM.invalidate(F, PreservedAnalyses::none()); };

	dropAssumptions(F);
	do {
		SROAPass(SROAOptions::ModifyCFG).run(F, FAM);
		Changed();
		InstSimplifyPass().run(F, FAM);
		Changed();
	} while (revealHost(F));
	SCCPPass().run(F, FAM);
	Changed();
	LowerExpectIntrinsicPass().run(F, FAM);
	LowerConstantIntrinsicsPass().run(F, FAM);
	Changed();
	SCCPPass().run(F, FAM);
	Changed();
	SimplifyCFGPass(SimplifyCFGOptions().convertSwitchRangeToICmp(false)).run(F, FAM);
	Changed();
	ADCEPass().run(F, FAM);
	Changed();
	SROAPass(SROAOptions::ModifyCFG).run(F, FAM);
	Changed();
	while (revealHost(F)) {
		Changed();
		SROAPass(SROAOptions::ModifyCFG).run(F, FAM);
		Changed();
	}
}

void prepare(Module &M, ModuleAnalysisManager &MAM, Diagnostics &Diag)
{
	auto &FAM = MAM.getResult<FunctionAnalysisManagerModuleProxy>(M).getManager();

	refuseRecursion(M, Diag);
	if (Diag.failed())
		return;
	markForInlining(M);
	for (Function &F : M) {
		if (F.isDeclaration())
			continue;
		hideCopies(F);
		dropEmptyAssembler(F);
	}
	AlwaysInlinerPass(false).run(M, MAM);
	MAM.invalidate(M, PreservedAnalyses::none());
	GlobalDCEPass().run(M, MAM);
	MAM.invalidate(M, PreservedAnalyses::none());
	for (Function &F : M)
		if (!F.isDeclaration())
			settle(F, FAM);
	GlobalDCEPass().run(M, MAM);
}

} // namespace llview
