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
#include <llvm/ADT/SetVector.h>

using namespace clang;

namespace
{

bool isHostSpace(QualType T)
{
	return isTargetAddressSpace(T.getAddressSpace()) &&
	       toTargetAddressSpace(T.getAddressSpace()) == 1;
}

bool isHostPointer(QualType T)
{
	return T->isPointerType() && isHostSpace(T->getPointeeType());
}

// Whether an object of this type holds a pointer to the tool's memory.
bool holdsHostPointer(QualType T)
{
	T = T.getCanonicalType();
	if (isHostPointer(T))
		return true;
	if (auto *A = dyn_cast<ArrayType>(T.getTypePtr()))
		return holdsHostPointer(A->getElementType());
	auto *R = T->getAs<RecordType>();
	if (!R || !R->getDecl()->isCompleteDefinition())
		return false;
	for (const FieldDecl *F : R->getDecl()->fields())
		if (holdsHostPointer(F->getType()))
			return true;
	return false;
}

class Checker : public RecursiveASTVisitor<Checker>
{
public:
	Checker(ASTContext &Ctx, DiagnosticsEngine &Diags)
	    : Ctx(Ctx), SM(Ctx.getSourceManager()), Diags(Diags)
	{
	}

	// Everything that the extractors' own functions lead to, headers' functions included.
	void run()
	{
		for (Decl *D : Ctx.getTranslationUnitDecl()->decls())
			if (auto *F = dyn_cast<FunctionDecl>(D))
				if (F->doesThisDeclarationHaveABody() &&
				    !SM.isInSystemHeader(F->getLocation()))
					Reached.insert(F);
		for (size_t I = 0; I < Reached.size(); I++)
			TraverseStmt(Reached[I]->getBody());
	}

	void checkUnion(const RecordDecl *R)
	{
		if (R->isUnion() && holdsHostPointer(Ctx.getRecordType(R)))
			error(R->getLocation(), "a union can't hold __host pointers");
	}

	// What isn't evaluated, and what is only at compile time, is no business of the guest's.
	bool TraverseTypeLoc(TypeLoc)
	{
		return true;
	}
	bool TraverseType(QualType)
	{
		return true;
	}
	bool TraverseStaticAssertDecl(StaticAssertDecl *)
	{
		return true;
	}
	bool TraverseGenericSelectionExpr(GenericSelectionExpr *E, DataRecursionQueue * = nullptr)
	{
		return E->isResultDependent() || TraverseStmt(E->getResultExpr());
	}
	bool TraverseChooseExpr(ChooseExpr *E, DataRecursionQueue * = nullptr)
	{
		return TraverseStmt(E->getChosenSubExpr());
	}
	bool TraverseIfStmt(IfStmt *S, DataRecursionQueue * = nullptr)
	{
		std::optional<bool> Value = constant(S->getCond());

		// Assertions at compile time are spelt as conditions, too.
		if (Value && S->getIfLoc().isMacroID())
			return TraverseStmt(*Value ? S->getThen() : S->getElse());
		if (!TraverseStmt(S->getCond()))
			return false;
		if (Value)
			return TraverseStmt(*Value ? S->getThen() : S->getElse());
		return TraverseStmt(S->getThen()) && TraverseStmt(S->getElse());
	}
	bool TraverseConditionalOperator(ConditionalOperator *E, DataRecursionQueue * = nullptr)
	{
		if (std::optional<bool> Value = constant(E->getCond()))
			return TraverseStmt(*Value ? E->getTrueExpr() : E->getFalseExpr());
		return TraverseStmt(E->getCond()) && TraverseStmt(E->getTrueExpr()) &&
		       TraverseStmt(E->getFalseExpr());
	}
	bool TraverseUnaryExprOrTypeTraitExpr(UnaryExprOrTypeTraitExpr *E,
					      DataRecursionQueue * = nullptr)
	{
		if (E->getKind() == UETT_SizeOf)
			checkSize(E);
		return true;
	}

	bool VisitDeclRefExpr(DeclRefExpr *E)
	{
		auto *F = dyn_cast<FunctionDecl>(E->getDecl());
		const FunctionDecl *Definition = nullptr;

		if (!F)
			return true;
		if (F->getName().starts_with("ovm_llv_rt_") || F->getName().starts_with("__llv_")) {
			if (!SM.getFilename(SM.getSpellingLoc(E->getLocation()))
				     .ends_with("llview.h"))
				error(E->getLocation(),
				      "'" + F->getName().str() + "' is for llview.h only");
		} else if (F->hasBody(Definition)) {
			Reached.insert(Definition);
		}
		return true;
	}

	bool VisitOffsetOfExpr(OffsetOfExpr *E)
	{
		QualType T = E->getTypeSourceInfo()->getType();

		if (isOfKernel(T))
			error(E->getBeginLoc(), "offsetof() of '" + T.getAsString() +
							"' is this build's, not the guest's; use "
							"llv_offsetof()");
		return true;
	}

	bool VisitBinaryOperator(BinaryOperator *E)
	{
		QualType L = E->getLHS()->getType(), R = E->getRHS()->getType();

		if (E->getOpcode() == BO_Sub && L->isPointerType() && R->isPointerType() &&
		    isOfKernel(L->getPointeeType()))
			error(E->getOperatorLoc(),
			      "the distance of pointers to '" + L->getPointeeType().getAsString() +
				      "' depends on this build's size of it; divide the bytes by "
				      "llv_sizeof()");
		return true;
	}

	bool VisitCastExpr(CastExpr *E)
	{
		QualType To = E->getType(), From = E->getSubExpr()->getType();

		if (!To->isPointerType() || !From->isPointerType() ||
		    E->getCastKind() == CK_LValueToRValue || E->getCastKind() == CK_NoOp ||
		    E->getCastKind() == CK_NullToPointer)
			return true;
		QualType New = To->getPointeeType().getCanonicalType().getUnqualifiedType();
		QualType Old = From->getPointeeType().getCanonicalType().getUnqualifiedType();
		if (Ctx.hasSameType(New, Old) || isAllocation(E->getSubExpr()))
			return true;
		if (isHostPointer(To) && isHostPointer(From) && !New->isVoidType() &&
		    !(isByte(New) && isByte(Old)))
			error(E->getBeginLoc(), "a __host pointer can't change its type");
		else if (holdsHostPointer(New) && !E->getSubExpr()->isNullPointerConstant(
							  Ctx, Expr::NPC_ValueDependentIsNotNull))
			error(E->getBeginLoc(), "a pointer can't become one to '" +
							New.getAsString() +
							"', which holds __host pointers");
		return true;
	}

private:
	void error(SourceLocation At, const std::string &Text)
	{
		unsigned Id = Diags.getDiagnosticIDs()->getCustomDiagID(DiagnosticIDs::Error, Text);

		Diags.Report(At, Id);
	}

	// Structures of the tool's own are declared in files of its own and aren't flavours.
	bool isKernelRecord(const RecordDecl *R) const
	{
		if (R->getName().contains("___"))
			return true;
		return SM.isInSystemHeader(SM.getExpansionLoc(R->getLocation()));
	}

	bool isOfKernel(QualType T) const
	{
		T = T.getCanonicalType();
		while (auto *A = dyn_cast<ArrayType>(T.getTypePtr()))
			T = A->getElementType().getCanonicalType();
		auto *R = T->getAs<RecordType>();
		return R && isKernelRecord(R->getDecl());
	}

	static bool isByte(QualType T)
	{
		return T->isCharType();
	}

	static bool isAllocation(const Expr *E)
	{
		auto *C = dyn_cast<CallExpr>(E->IgnoreParenCasts());
		const FunctionDecl *F = C ? C->getDirectCallee() : nullptr;

		return F && F->getName() == "ovm_llv_rt_alloc";
	}

	// Arrays that are members of the kernel's structures count too: their length may differ.
	void checkSize(const UnaryExprOrTypeTraitExpr *E)
	{
		QualType T = E->getTypeOfArgument();
		bool Member = false;

		if (!E->isArgumentType() && T->isArrayType())
			if (auto *M = dyn_cast<MemberExpr>(E->getArgumentExpr()->IgnoreParens()))
				if (auto *F = dyn_cast<FieldDecl>(M->getMemberDecl()))
					Member = isKernelRecord(F->getParent());
		if (Member || isOfKernel(T))
			error(E->getBeginLoc(), "sizeof '" + T.getAsString() +
							"' is this build's, not the guest's; use "
							"llv_sizeof() or llv_field_size()");
	}

	std::optional<bool> constant(const Expr *E) const
	{
		Expr::EvalResult Result;

		if (!E || E->isValueDependent() || !E->EvaluateAsInt(Result, Ctx))
			return std::nullopt;
		return Result.Val.getInt().getBoolValue();
	}

	ASTContext &Ctx;
	SourceManager &SM;
	DiagnosticsEngine &Diags;
	llvm::SetVector<const FunctionDecl *> Reached;
};

class LLViewConsumer : public ASTConsumer
{
public:
	explicit LLViewConsumer(CompilerInstance &CI) : CI(CI)
	{
	}

	void HandleTagDeclDefinition(TagDecl *D) override
	{
		auto *Record = dyn_cast<RecordDecl>(D);

		if (!Record)
			return;
		Checker(D->getASTContext(), CI.getDiagnostics()).checkUnion(Record);
		if (!Record->hasAttr<BPFPreserveAccessIndexAttr>())
			Record->addAttr(
				BPFPreserveAccessIndexAttr::CreateImplicit(D->getASTContext()));
	}

	void HandleTranslationUnit(ASTContext &Ctx) override
	{
		Checker(Ctx, CI.getDiagnostics()).run();
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

	bool ParseArgs(const CompilerInstance &, const std::vector<std::string> &) override
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
