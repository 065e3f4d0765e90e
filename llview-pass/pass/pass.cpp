// SPDX-License-Identifier: GPL-2.0-only
// Registration, and the order of the steps.
#include "llview.hpp"

#include <llvm/Config/llvm-config.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Passes/PassPlugin.h>

using namespace llvm;

namespace
{

struct LLViewPass : PassInfoMixin<LLViewPass> {
	PreservedAnalyses run(Module &M, ModuleAnalysisManager &MAM)
	{
		llview::Diagnostics Diag;
		llview::Runtime RT(M);

		if (!M.getNamedMetadata("llvm.dbg.cu"))
			report_fatal_error("llview: debug information is needed (-g)", false);
		// Headers' assembler outside of functions is the kernel's own business.
		M.setModuleInlineAsm("");
		llview::Relocations Rel(M, RT, Diag);
		llview::prepare(M, MAM, Diag);
		if (Diag.failed())
			return abandon(M);
		llview::lowerSymbols(M, RT, Rel, Diag);
		for (Function &F : M)
			if (!F.isDeclaration())
				llview::Lowering(F, RT, Rel, Diag).run();
		if (Diag.failed())
			return abandon(M);
		for (Function &F : M)
			if (!F.isDeclaration())
				llview::guard(F, RT, Diag);
		llview::verify(M, Diag);
		if (Diag.failed())
			return abandon(M);
		return PreservedAnalyses::none();
	}

	// What is half done must not reach code generation.
	static PreservedAnalyses abandon(Module &M)
	{
		for (Function &F : M)
			if (!F.isDeclaration())
				F.deleteBody();
		return PreservedAnalyses::none();
	}

	static bool isRequired()
	{
		return true;
	}
};

void addPasses(PassBuilder &PB)
{
	PB.registerPipelineStartEPCallback(
		[](ModulePassManager &MPM, OptimizationLevel) { MPM.addPass(LLViewPass()); });
	PB.registerPipelineParsingCallback(
		[](StringRef Name, ModulePassManager &MPM, ArrayRef<PassBuilder::PipelineElement>) {
			if (Name != "llview")
				return false;
			MPM.addPass(LLViewPass());
			return true;
		});
}

} // namespace

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo llvmGetPassPluginInfo()
{
	return {LLVM_PLUGIN_API_VERSION, "llview", LLVM_VERSION_STRING, addPasses};
}
