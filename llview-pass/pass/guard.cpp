// SPDX-License-Identifier: GPL-2.0-only
//
// Run-time checks for what a guest's value could do to the tool: an index into the tool's own
// arrays, a division, a loop that doesn't end, a record that isn't there.
#include "llview.hpp"

#include <llvm/Analysis/CFG.h>
#include <llvm/Analysis/ValueTracking.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/Transforms/Utils/BasicBlockUtils.h>

using namespace llvm;

namespace llview
{

namespace
{

class Guards
{
public:
	Guards(Function &F, Runtime &RT, Diagnostics &Diag)
	    : F(F), RT(RT), Diag(Diag), DL(F.getParent()->getDataLayout())
	{
	}
	void run();

private:
	void define(Instruction &I);
	void guardDivision(BinaryOperator &B);
	void guardIndex(GetElementPtrInst &G, Use &U, const ArrayType *Array);
	void guardIndices(GetElementPtrInst &G);
	void guardObject(Instruction &At, Value *Ptr, uint64_t Bytes);
	void guardNull(Instruction &At, Value *Ptr);
	void guardAccess(Instruction &At, Value *Ptr, uint64_t Bytes);
	void guardMemory(MemIntrinsic &C);
	void guardCall(CallInst &C);
	void guardUnreachable(UnreachableInst &U);
	void tickLoops();
	bool isHost(Value *Ptr);

	Function &F;
	Runtime &RT;
	Diagnostics &Diag;
	const DataLayout &DL;
	Provenance Prov;
};

bool Guards::isHost(Value *Ptr)
{
	return Ptr->getType()->getPointerAddressSpace() == HostAS || Prov.of(Ptr) == Origin::Host;
}

// Leave nothing undefined that a guest's value could reach: the optimiser would be free to drop a
// check where it can prove that a value would have been undefined without it.
void Guards::define(Instruction &I)
{
	I.dropPoisonGeneratingFlags();
	I.dropPoisonGeneratingMetadata();
	if (I.isShift() && !isa<Constant>(I.getOperand(1)) && I.getType()->isIntegerTy()) {
		IRBuilder<> B(&I);

		I.setOperand(1,
			     B.CreateAnd(I.getOperand(1),
					 ConstantInt::get(I.getType(),
							  I.getType()->getIntegerBitWidth() - 1)));
	}
	if (auto *II = dyn_cast<IntrinsicInst>(&I)) {
		switch (II->getIntrinsicID()) {
		case Intrinsic::ctlz:
		case Intrinsic::cttz:
		case Intrinsic::abs:
			II->setArgOperand(1, ConstantInt::getFalse(I.getContext()));
			break;
		default:
			break;
		}
	}
}

void Guards::guardDivision(BinaryOperator &D)
{
	Value *Divisor = D.getOperand(1);
	bool Signed = D.getOpcode() == Instruction::SDiv || D.getOpcode() == Instruction::SRem;
	auto *Constant = dyn_cast<ConstantInt>(Divisor);

	if (Constant && !Constant->isZero() && !(Signed && Constant->isMinusOne()))
		return;
	IRBuilder<> B(&D);
	Divisor = B.CreateFreeze(Divisor);
	D.setOperand(1, Divisor);
	Value *Bad = B.CreateIsNull(Divisor);
	if (Signed) {
		unsigned Bits = D.getType()->getIntegerBitWidth();
		Value *Dividend = B.CreateFreeze(D.getOperand(0));

		D.setOperand(0, Dividend);
		Value *Overflow = B.CreateAnd(
			B.CreateICmpEQ(Divisor, ConstantInt::getAllOnesValue(D.getType())),
			B.CreateICmpEQ(Dividend, B.getInt(APInt::getSignedMinValue(Bits))));
		Bad = B.CreateOr(Bad, Overflow);
	}
	RT.trapIf(&D, Bad, "a division by zero or too large", siteOf(D));
}

// @Array is what is indexed; none for the first index of a GEP, which steps over whole objects.
void Guards::guardIndex(GetElementPtrInst &G, Use &U, const ArrayType *Array)
{
	auto *Constant = dyn_cast<ConstantInt>(U.get());

	if (Constant && Constant->isZero())
		return;
	if (!Array) {
		if (G.getAddressSpace() == HostAS && !isa<AllocaInst>(baseOf(&G)))
			Diag.error(G,
				   "arithmetic on a __host pointer; index an array that is part of "
				   "a record");
		return; // Of local variables and constants: guardObject().
	}
	if (Constant) {
		if (Constant->getValue().uge(Array->getNumElements()))
			Diag.error(G, "index out of bounds");
		return;
	}
	IRBuilder<> B(&G);
	Value *Index = B.CreateFreeze(U.get());
	Value *Wide = B.CreateSExtOrTrunc(Index, B.getInt64Ty());
	U.set(Index);
	RT.trapIf(&G, B.CreateICmpUGE(Wide, B.getInt64(Array->getNumElements())),
		  "an array index out of bounds", siteOf(G));
}

void Guards::guardIndices(GetElementPtrInst &G)
{
	if (!isHost(G.getPointerOperand()))
		return;
	Type *T = nullptr;
	for (Use &U : make_range(G.idx_begin(), G.idx_end())) {
		if (!isa_and_nonnull<StructType>(T))
			guardIndex(G, U, dyn_cast_or_null<ArrayType>(T));
		T = T ? GetElementPtrInst::getTypeAtIndex(T, U.get()) : G.getSourceElementType();
	}
}

static std::optional<uint64_t> sizeOf(const Value *Object, const DataLayout &DL)
{
	if (auto *A = dyn_cast<AllocaInst>(Object)) {
		auto Size = A->getAllocationSize(DL);

		return Size ? std::optional<uint64_t>(Size->getFixedValue()) : std::nullopt;
	}
	if (auto *G = dyn_cast<GlobalVariable>(Object); G && G->hasInitializer())
		return DL.getTypeAllocSize(G->getValueType());
	return std::nullopt;
}

// Whether members and indices of arrays, which guardIndices() checks, lead from the object to
// @Ptr, each within what the one before it leads to.
static bool isIndexed(const Value *Ptr, uint64_t Bytes, const DataLayout &DL)
{
	while (auto *G = dyn_cast<GEPOperator>(Ptr)) {
		auto *First = dyn_cast<ConstantInt>(G->idx_begin()->get());

		if (!First || !First->isZero() ||
		    DL.getTypeAllocSize(G->getResultElementType()) < Bytes)
			return false;
		Bytes = DL.getTypeAllocSize(G->getSourceElementType());
		Ptr = G->getPointerOperand();
	}
	std::optional<uint64_t> Size = sizeOf(Ptr, DL);
	return Size && *Size >= Bytes;
}

// Bounds of a local variable or constant, where indices alone don't keep them.
void Guards::guardObject(Instruction &At, Value *Ptr, uint64_t Bytes)
{
	APInt Offset(64, 0);
	Value *Object = Ptr->stripAndAccumulateConstantOffsets(DL, Offset, true);
	std::optional<uint64_t> Size = sizeOf(Object, DL);

	if (Size) {
		if (Offset.isNegative() || Offset.ugt(*Size) ||
		    *Size - Offset.getZExtValue() < Bytes)
			Diag.error(At, "access out of bounds");
		return;
	}
	if (isIndexed(Ptr, Bytes, DL))
		return;
	SmallVector<const Value *, 4> Objects;
	getUnderlyingObjects(Ptr, Objects, nullptr, 0);
	if (Objects.size() != 1 || !(Size = sizeOf(Objects[0], DL)) || *Size < Bytes) {
		Diag.error(At, "a pointer into several local variables; bounds can't be checked");
		return;
	}
	auto *A = dyn_cast<AllocaInst>(Objects[0]);
	if (A && holdsHostPointer(A->getAllocatedType())) {
		Diag.error(At, "arithmetic on a pointer into a variable with __host pointers");
		return;
	}
	IRBuilder<> B(&At);
	Value *Start = B.CreatePtrToInt(const_cast<Value *>(Objects[0]), B.getInt64Ty());
	Value *Distance = B.CreateSub(B.CreatePtrToInt(Ptr, B.getInt64Ty()), Start);
	RT.trapIf(&At, B.CreateICmpUGT(Distance, B.getInt64(*Size - Bytes)),
		  "an access out of bounds", siteOf(At));
}

void Guards::guardNull(Instruction &At, Value *Ptr)
{
	Value *Base = baseOf(Ptr);

	if (isa<AllocaInst>(Base) || isa<GlobalVariable>(Base))
		return;
	if (auto *C = dyn_cast<CallInst>(Base);
	    C && C->getCalledFunction() && C->getCalledFunction()->getName() == "ovm_llv_rt_alloc")
		return;
	IRBuilder<> B(&At);
	RT.trapIf(&At, B.CreateIsNull(Base), "a record that is not there", siteOf(At));
}

void Guards::guardAccess(Instruction &At, Value *Ptr, uint64_t Bytes)
{
	if (Ptr->getType()->getPointerAddressSpace() == HostAS) {
		if (isa<AllocaInst>(baseOf(Ptr)) || isa<GlobalVariable>(baseOf(Ptr)))
			guardObject(At, Ptr, Bytes);
		else
			guardNull(At, Ptr);
	} else if (Prov.of(Ptr) == Origin::Host) {
		guardObject(At, Ptr, Bytes);
	}
}

void Guards::guardMemory(MemIntrinsic &C)
{
	auto *Length = dyn_cast<ConstantInt>(C.getLength());

	if (!Length) {
		Diag.error(C, "the number of bytes has to be constant");
		return;
	}
	guardAccess(C, C.getRawDest(), Length->getZExtValue());
	if (auto *T = dyn_cast<MemTransferInst>(&C))
		guardAccess(C, T->getRawSource(), Length->getZExtValue());
}

void Guards::guardCall(CallInst &C)
{
	Function *Callee = C.getCalledFunction();

	if (!Callee || !Runtime::isCallable(Callee->getName()))
		return;
	if (Callee->getName() == "ovm_llv_rt_copy") {
		Value *Dst = C.getArgOperand(0);
		auto *Size = dyn_cast<ConstantInt>(C.getArgOperand(2));
		auto *Local = dyn_cast<AllocaInst>(baseOf(Dst));

		if (Local && holdsHostPointer(Local->getAllocatedType()))
			Diag.error(C, "guest memory can't be copied over __host pointers");
		if (Local && Size)
			guardObject(C, Dst, Size->getZExtValue());
		if (!Local)
			guardNull(C, Dst);
		return;
	}
	for (Value *Arg : C.args())
		if (Arg->getType()->isPointerTy() &&
		    Arg->getType()->getPointerAddressSpace() == HostAS)
			guardNull(C, Arg);
}

// Headers call code unreachable that a kernel's data never leads to; a guest's may.
void Guards::guardUnreachable(UnreachableInst &U)
{
	auto *C = dyn_cast_or_null<CallInst>(U.getPrevNode());

	if (C && C->doesNotReturn())
		return;
	IRBuilder<> B(&U);
	RT.trap(B, "code that the kernel never reaches", siteOf(U));
}

void Guards::tickLoops()
{
	SmallVector<std::pair<const BasicBlock *, const BasicBlock *>, 16> Edges;
	SmallPtrSet<const BasicBlock *, 16> Done;

	FindFunctionBackedges(F, Edges);
	for (auto &[From, To] : Edges) {
		if (!Done.insert(From).second)
			continue;
		auto *Last = const_cast<Instruction *>(From->getTerminator());
		IRBuilder<> B(Last);
		RT.tick(B, siteOf(*Last));
	}
}

void Guards::run()
{
	SmallVector<Instruction *, 256> All;

	tickLoops();
	if (isShared(F)) {
		IRBuilder<> B(&*F.getEntryBlock().getFirstNonPHIOrDbgOrAlloca());
		RT.enter(B, siteOf(F.getEntryBlock().front()));
	}
	for (Instruction &I : instructions(F))
		All.push_back(&I);
	for (Instruction *I : All) {
		define(*I);
		if (auto *G = dyn_cast<GetElementPtrInst>(I))
			guardIndices(*G);
		else if (I->isIntDivRem())
			guardDivision(cast<BinaryOperator>(*I));
		else if (auto *L = dyn_cast<LoadInst>(I))
			guardAccess(*I, L->getPointerOperand(), DL.getTypeStoreSize(L->getType()));
		else if (auto *S = dyn_cast<StoreInst>(I))
			guardAccess(*I, S->getPointerOperand(),
				    DL.getTypeStoreSize(S->getValueOperand()->getType()));
		else if (auto *M = dyn_cast<MemIntrinsic>(I))
			guardMemory(*M);
		else if (auto *C = dyn_cast<CallInst>(I))
			guardCall(*C);
		else if (auto *U = dyn_cast<UnreachableInst>(I))
			guardUnreachable(*U);
		else if (auto *R = dyn_cast<ReturnInst>(I); R && isShared(F)) {
			IRBuilder<> B(R);
			RT.leave(B);
		}
	}
}

} // namespace

void guard(Function &F, Runtime &RT, Diagnostics &Diag)
{
	Guards(F, RT, Diag).run();
}

} // namespace llview
