// SPDX-License-Identifier: GPL-2.0-only
//
// The last word: every instruction that is left is one that can't touch memory by an address that
// the guest chose.  What isn't known to be harmless is refused.
#include "llview.hpp"

#include <llvm/IR/InlineAsm.h>
#include <llvm/IR/InstIterator.h>

using namespace llvm;

namespace llview
{

namespace
{

/** Locals of an entry point and everything inlined into it. */
constexpr uint64_t MaxStack = 32768;

class Verifier
{
public:
	Verifier(Function &F, Diagnostics &Diag) : F(F), Diag(Diag)
	{
	}
	void run();

private:
	void check(Instruction &I);
	void checkAddress(Instruction &I, const Value *Ptr, bool Store);
	void checkStored(Instruction &I, const Value *V);
	void checkPunned(Instruction &I, const Value *Ptr, const Value *V);
	void checkTransfer(Instruction &I, const MemIntrinsic &M);
	void checkCall(CallBase &C);
	void checkIntrinsic(IntrinsicInst &I);
	void checkGuest(Instruction &I, const Value *V, const Twine &What);
	void checkCast(Instruction &I, unsigned Opcode, const Value *From, Type *To);
	void checkConstant(Instruction &I, const Constant *C);

	Function &F;
	Diagnostics &Diag;
	Provenance Prov;
};

bool isGuestPointer(const Type *T)
{
	return T->isPointerTy() && T->getPointerAddressSpace() == GuestAS;
}

void Verifier::checkAddress(Instruction &I, const Value *Ptr, bool Store)
{
	if (Ptr->getType()->getPointerAddressSpace() == HostAS)
		return;
	switch (Prov.of(Ptr)) {
	case Origin::Host:
		if (Store && isa<GlobalVariable>(baseOf(Ptr)))
			Diag.error(I, "a constant can't be written");
		return;
	case Origin::Mixed:
		Diag.error(I, "ambiguous pointer: the guest's or a local variable's");
		return;
	default:
		Diag.error(I, Store ? "guest memory can't be written"
				    : "this access to guest memory is not supported");
	}
}

// A plain pointer that is read back counts as the guest's; a __host one may be used after its
// variable has gone.
void Verifier::checkStored(Instruction &I, const Value *V)
{
	if (holdsHostPointer(V->getType()) && isa<AllocaInst>(baseOf(V)))
		Diag.error(I, "the address of a local variable can't be kept in memory");
	if (!isGuestPointer(V->getType()))
		return;
	Origin O = Prov.of(V);
	if (O == Origin::Host || O == Origin::Mixed)
		Diag.error(I,
			   "the address of a local variable or constant can't be kept in memory");
}

// Whether a __host pointer lies in part of the bytes of an object of this type.
bool overlapsHostPointer(Type *T, uint64_t Offset, uint64_t Bytes, const DataLayout &DL)
{
	if (!holdsHostPointer(T) || Offset >= DL.getTypeAllocSize(T) || !Bytes)
		return false;
	if (auto *S = dyn_cast<StructType>(T)) {
		const StructLayout *Layout = DL.getStructLayout(S);

		for (unsigned I = 0; I < S->getNumElements(); I++) {
			uint64_t Start = Layout->getElementOffset(I);
			uint64_t Skipped = Start < Offset ? 0 : Start - Offset;

			if (Skipped < Bytes &&
			    overlapsHostPointer(S->getElementType(I),
						Start < Offset ? Offset - Start : 0,
						Bytes - Skipped, DL))
				return true;
		}
		return false;
	}
	if (auto *A = dyn_cast<ArrayType>(T)) {
		uint64_t Size = DL.getTypeAllocSize(A->getElementType());
		uint64_t Within = Offset % Size;

		return Within + Bytes > Size ||
		       overlapsHostPointer(A->getElementType(), Within, Bytes, DL);
	}
	return true;
}

// A number that is written where a variable has a __host pointer would be read back as one.
void Verifier::checkPunned(Instruction &I, const Value *Ptr, const Value *V)
{
	const DataLayout &DL = F.getParent()->getDataLayout();
	auto *A = dyn_cast<AllocaInst>(baseOf(Ptr));
	auto *C = dyn_cast<Constant>(V);

	if (!A || !holdsHostPointer(A->getAllocatedType()) || holdsHostPointer(V->getType()) ||
	    (C && C->isNullValue()))
		return;
	APInt Offset(64, 0);
	bool Plain;
	if (Ptr->stripAndAccumulateConstantOffsets(DL, Offset, true) == A) {
		Plain = !overlapsHostPointer(A->getAllocatedType(), Offset.getZExtValue(),
					     DL.getTypeStoreSize(V->getType()), DL);
	} else {
		auto *G = dyn_cast<GEPOperator>(Ptr);

		Plain = G && G->getPointerOperand() == A &&
			G->getSourceElementType() == A->getAllocatedType() &&
			G->getResultElementType() == V->getType();
	}
	if (!Plain)
		Diag.error(I, "a __host pointer can't be made of a number");
}

void Verifier::checkTransfer(Instruction &I, const MemIntrinsic &M)
{
	auto *A = dyn_cast<AllocaInst>(baseOf(M.getRawDest()));

	if (!A || !holdsHostPointer(A->getAllocatedType()))
		return;
	if (auto *Set = dyn_cast<MemSetInst>(&M)) {
		auto *C = dyn_cast<Constant>(Set->getValue());

		if (!C || !C->isNullValue())
			Diag.error(I, "a __host pointer can't be made of a number");
		return;
	}
	const Value *Source = cast<MemTransferInst>(M).getRawSource();
	auto *From = dyn_cast<AllocaInst>(baseOf(Source));
	auto *G = dyn_cast<GlobalVariable>(baseOf(Source));
	if (Source->getType()->getPointerAddressSpace() == HostAS || G ||
	    (From && From->getAllocatedType() == A->getAllocatedType()))
		return;
	Diag.error(I, "a __host pointer can't be copied from a variable of another type");
}

void Verifier::checkGuest(Instruction &I, const Value *V, const Twine &What)
{
	if (!isGuestPointer(V->getType()))
		return;
	Origin O = Prov.of(V);
	if (O == Origin::Host || O == Origin::Mixed)
		Diag.error(I,
			   What + " has to be the guest's, this is the address of a local variable "
				  "or constant");
}

void Verifier::checkIntrinsic(IntrinsicInst &I)
{
	if (auto *M = dyn_cast<MemIntrinsic>(&I)) {
		checkAddress(I, M->getRawDest(), true);
		checkTransfer(I, *M);
		if (auto *T = dyn_cast<MemTransferInst>(M)) {
			checkAddress(I, T->getRawSource(), false);
			if (T->getDestAddressSpace() == HostAS &&
			    T->getSourceAddressSpace() != HostAS &&
			    Prov.of(T->getRawSource()) != Origin::Host)
				Diag.error(I, "guest memory can't be copied over a record");
		}
		return;
	}
	switch (I.getIntrinsicID()) {
	case Intrinsic::trap:
	case Intrinsic::debugtrap:
	case Intrinsic::lifetime_start:
	case Intrinsic::lifetime_end:
	case Intrinsic::dbg_declare:
	case Intrinsic::dbg_value:
	case Intrinsic::dbg_label:
	case Intrinsic::donothing:
	case Intrinsic::sideeffect:
	case Intrinsic::experimental_noalias_scope_decl:
		return;
	default:
		break;
	}
	if (I.getType()->isVoidTy() || I.mayReadOrWriteMemory() || I.getType()->isPointerTy() ||
	    isPreserve(&I))
		Diag.error(I, "'" + I.getCalledFunction()->getName() + "' is not supported here");
}

void Verifier::checkCall(CallBase &C)
{
	if (isa<InlineAsm>(C.getCalledOperand())) {
		Diag.error(C, "inline assembler can't run outside of the guest");
		return;
	}
	auto *Callee = dyn_cast<Function>(C.getCalledOperand());
	if (!isa<CallInst>(C) || !Callee) {
		Diag.error(C, "a function of the guest can't be called through a pointer");
		return;
	}
	if (auto *II = dyn_cast<IntrinsicInst>(&C)) {
		checkIntrinsic(*II);
		return;
	}
	if (Runtime::isCallable(Callee->getName())) {
		// Only calls that extractors write take pointers of the guest.
		for (unsigned I = 0; I < C.arg_size(); I++)
			if (StringRef(Callee->getName()).ends_with("_bytes") ||
			    StringRef(Callee->getName()).ends_with("_string") ||
			    StringRef(Callee->getName()).ends_with("_streq") ||
			    StringRef(Callee->getName()).ends_with("_strcpy") ||
			    StringRef(Callee->getName()).ends_with("_readable"))
				checkGuest(C, C.getArgOperand(I), "the pointer");
		return;
	}
	if (!isShared(*Callee)) {
		Diag.error(C, "'" + Callee->getName() +
				      "' can't be called: it is not part of the extractors");
		return;
	}
	if (Callee->isVarArg())
		Diag.error(C, "variable arguments are not supported");
	for (unsigned I = 0; I < C.arg_size(); I++) {
		if (C.paramHasAttr(I, Attribute::ByVal) || C.paramHasAttr(I, Attribute::StructRet))
			Diag.error(C, "a shared function can't take or return structures by value");
		else
			checkGuest(C, C.getArgOperand(I), "a pointer to a shared function");
	}
}

void Verifier::checkCast(Instruction &I, unsigned Opcode, const Value *From, Type *To)
{
	if (Opcode == Instruction::IntToPtr && holdsHostPointer(To)) {
		Diag.error(I, "an integer can't become a __host pointer");
		return;
	}
	if (Opcode != Instruction::AddrSpaceCast)
		return;
	const Value *Base = baseOf(From);
	auto *G = dyn_cast<GlobalVariable>(Base);
	if (isa<AllocaInst>(Base) || (G && G->hasInitializer()))
		return;
	if (holdsHostPointer(To)) {
		Diag.error(I, "a pointer of the guest can't become a __host pointer");
		return;
	}
	// The destination of a copy, which the runtime takes as a plain pointer.
	for (const User *U : I.users()) {
		auto *C = dyn_cast<CallInst>(U);

		if (!C || !C->getCalledFunction() ||
		    C->getCalledFunction()->getName() != "ovm_llv_rt_copy")
			Diag.error(I, "a __host pointer can't become a pointer of the guest");
	}
}

void Verifier::checkConstant(Instruction &I, const Constant *C)
{
	if (auto *E = dyn_cast<ConstantExpr>(C))
		checkCast(I, E->getOpcode(), E->getOperand(0), E->getType());
	if (isa<GlobalValue>(C))
		return;
	for (const Use &U : C->operands())
		if (auto *Sub = dyn_cast<Constant>(U.get()))
			checkConstant(I, Sub);
}

void Verifier::check(Instruction &I)
{
	for (const Use &U : I.operands())
		if (auto *C = dyn_cast<Constant>(U.get()))
			checkConstant(I, C);
	if (auto *L = dyn_cast<LoadInst>(&I)) {
		auto *G = dyn_cast<GlobalVariable>(baseOf(L->getPointerOperand()));
		auto *A = dyn_cast<AllocaInst>(baseOf(L->getPointerOperand()));

		checkAddress(I, L->getPointerOperand(), false);
		if (G && isGuestPointer(L->getType()))
			Diag.error(I, "ambiguous pointer: one of a table of constants");
		if (A && holdsHostPointer(L->getType()) && !holdsHostPointer(A->getAllocatedType()))
			Diag.error(
				I,
				"a __host pointer can't be read from a variable of another type");
	} else if (auto *S = dyn_cast<StoreInst>(&I)) {
		checkAddress(I, S->getPointerOperand(), true);
		checkStored(I, S->getValueOperand());
		checkPunned(I, S->getPointerOperand(), S->getValueOperand());
	} else if (isa<AtomicRMWInst>(I) || isa<AtomicCmpXchgInst>(I)) {
		Diag.error(I, "guest memory can't be written");
	} else if (auto *P = dyn_cast<PHINode>(&I)) {
		for (const Value *In : P->incoming_values())
			if (isa<UndefValue>(In) && holdsHostPointer(I.getType()))
				Diag.error(I, "a __host pointer may be used before it is set");
	} else if (auto *C = dyn_cast<CallBase>(&I)) {
		checkCall(*C);
	} else if (auto *R = dyn_cast<ReturnInst>(&I)) {
		if (R->getReturnValue())
			checkGuest(I, R->getReturnValue(), "the result of a shared function");
	} else if (auto *Cast = dyn_cast<CastInst>(&I)) {
		checkCast(I, Cast->getOpcode(), Cast->getOperand(0), Cast->getType());
	} else if (auto *A = dyn_cast<AllocaInst>(&I)) {
		if (!A->isStaticAlloca())
			Diag.error(I, "arrays of variable size are not supported");
	} else if (isa<VAArgInst>(I) || isa<IndirectBrInst>(I) || isa<ResumeInst>(I)) {
		Diag.error(I, "this is not supported in extractors");
	}
}

void Verifier::run()
{
	uint64_t Stack = 0;

	for (Instruction &I : instructions(F)) {
		check(I);
		if (auto *A = dyn_cast<AllocaInst>(&I))
			if (auto Size = A->getAllocationSize(F.getParent()->getDataLayout()))
				Stack += Size->getFixedValue();
	}
	if (F.isVarArg())
		Diag.error(F, "variable arguments are not supported");
	if (Stack > MaxStack)
		Diag.error(F, "local variables take more than 32 KiB");
}

// A constant may hold numbers and text; addresses of the kernel's have no value at link time.
bool refersToKernel(const Constant *C)
{
	if (auto *G = dyn_cast<GlobalObject>(C))
		return G->isDeclaration() && !G->getName().starts_with("ovm_llv_rt_");
	for (const Use &U : C->operands())
		if (auto *Sub = dyn_cast<Constant>(U.get()); Sub && refersToKernel(Sub))
			return true;
	return false;
}

} // namespace

void verify(Module &M, Diagnostics &Diag)
{
	Function *Any = nullptr;

	for (Function &F : M) {
		if (F.isDeclaration())
			continue;
		Any = &F;
		Verifier(F, Diag).run();
	}
	if (!Any)
		return;
	for (GlobalVariable &G : M.globals()) {
		if (G.isDeclaration() || G.getName().starts_with("llvm."))
			continue;
		if (!G.isConstant())
			Diag.error(*Any,
				   "'" + G.getName() + "' would be shared by all runs; use const");
		else if (refersToKernel(G.getInitializer()))
			Diag.error(*Any, "'" + G.getName() +
						 "' holds addresses of the kernel's; they "
						 "are known at run time only");
	}
}

} // namespace llview
