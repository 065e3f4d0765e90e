// SPDX-License-Identifier: GPL-2.0-only
//
// The front end's part of LLView: marks the kernel's structures, so that clang
// keeps the path of each member access in the IR, and refuses what the IR
// wouldn't show any more.
//
// clang's code generator emits llvm.preserve.*.access.index for records with
// the attribute preserve_access_index whatever the target is; only its parser
// limits the attribute to BPF.  Adding it here makes it work for x86-64.
#include <clang/AST/ASTConsumer.h>
#include <clang/AST/ASTContext.h>
#include <clang/AST/Attr.h>
#include <clang/AST/RecursiveASTVisitor.h>
#include <clang/Frontend/CompilerInstance.h>
#include <clang/Frontend/FrontendPluginRegistry.h>

#include <set>

using namespace clang;

namespace
{

class LLViewConsumer : public ASTConsumer
{
      public:
	explicit LLViewConsumer(CompilerInstance &CI) : CI(CI)
	{
	}

	void HandleTagDeclDefinition(TagDecl *D) override
	{
		auto *Record = dyn_cast<RecordDecl>(D);

		if (Record && !Record->hasAttr<BPFPreserveAccessIndexAttr>())
			Record->addAttr(
				BPFPreserveAccessIndexAttr::CreateImplicit(D->getASTContext()));
	}

      private:
	CompilerInstance &CI;
};

class LLViewAction : public PluginASTAction
{
      protected:
	std::unique_ptr<ASTConsumer> CreateASTConsumer(CompilerInstance &CI, StringRef) override
	{
		return std::make_unique<LLViewConsumer>(CI);
	}

	bool ParseArgs(const CompilerInstance &CI, const std::vector<std::string> &Args) override
	{
		return true;
	}

	ActionType getActionType() override
	{
		return AddBeforeMainAction;
	}
};

} // namespace

static FrontendPluginRegistry::Add<LLViewAction> X("llview", "relocatable kernel structures");
