// SPDX-License-Identifier: GPL-2.0-only
//
// Guest accesses: reads become calls of the runtime, addresses plain integer arithmetic, in which
// nothing is undefined and from which no optimisation makes a native access.
#include "llview.hpp"

#include <llvm/IR/GetElementPtrTypeIterator.h>
#include <llvm/IR/InstIterator.h>

using namespace llvm;

namespace llview
{

static bool isGuest(Provenance &Prov, Value *Ptr)
{
	if (Ptr->getType()->getPointerAddressSpace() != GuestAS)
		return false;
	Origin O = Prov.of(Ptr);
	return O == Origin::Guest || O == Origin::Null;
}

void Lowering::replace(Instruction &I, Value *V)
{
	I.replaceAllUsesWith(V);
	I.eraseFromParent();
}

// Text behind a pointer to a string constant.
static std::optional<StringRef> literal(Value *V)
{
	auto *G = dyn_cast<GlobalVariable>(baseOf(V));
	auto *Data = G && G->hasInitializer() ? dyn_cast<ConstantDataArray>(G->getInitializer())
					      : nullptr;

	if (G && G->hasInitializer() && isa<ConstantAggregateZero>(G->getInitializer()))
		return StringRef();
	if (!Data || !Data->isCString())
		return std::nullopt;
	return Data->getAsCString();
}

Value *Lowering::offsetOf(IRBuilder<> &B, const Path &P, ovm_llv_reloc_kind Kind, unsigned Size,
			  const Instruction &At)
{
	Value *Offset = RT.value(B, Rel.make(Kind, P.Type, P.Members, 0, Size, At));

	if (P.Origin.empty())
		return Offset;
	return B.CreateSub(Offset,
			   RT.value(B, Rel.make(OVM_LLV_FIELD_OFFSET, P.Type, P.Origin, 0, 0, At)));
}

Value *Lowering::fieldQuestion(CallInst &C)
{
	auto *Kind = dyn_cast<ConstantInt>(C.getArgOperand(1));
	auto *V = dyn_cast<Instruction>(C.getArgOperand(0));
	std::optional<Path> P;

	if (Kind && V && isPreserve(V))
		P = Rel.pathOf(V);
	if (!P) {
		Diag.error(C, "the operand has to be a member of a kernel structure");
		return nullptr;
	}
	auto *Chained = dyn_cast<Instruction>(P->Root);
	if (Kind->getZExtValue() == OVM_LLV_FIELD_OFFSET &&
	    (!isa<ConstantPointerNull>(P->Root) || Chained)) {
		Diag.error(C,
			   "the offset of this member can't be relocated: an index in it varies");
		return nullptr;
	}
	IRBuilder<> B(&C);
	return RT.value(B, Rel.make(ovm_llv_reloc_kind(Kind->getZExtValue()), P->Type, P->Members,
				    0, 0, C));
}

Value *Lowering::pathQuestion(CallInst &C)
{
	auto Type = literal(C.getArgOperand(0)), Members = literal(C.getArgOperand(1));
	auto *Kind = dyn_cast<ConstantInt>(C.getArgOperand(2));

	if (!Type || !Members || !Kind) {
		Diag.error(C, "names have to be literals");
		return nullptr;
	}
	if (Type->contains("typeof") || Type->contains('*') || Type->contains('[')) {
		Diag.error(C, "'" + *Type + "' is not the name of a type");
		return nullptr;
	}
	IRBuilder<> B(&C);
	return RT.value(
		B, Rel.make(ovm_llv_reloc_kind(Kind->getZExtValue()), *Type, *Members, 0, 0, C));
}

// The functions of llview.h that stand for something else.
void Lowering::lowerQuestions()
{
	SmallVector<CallInst *, 32> Calls;

	for (Instruction &I : instructions(F)) {
		auto *C = dyn_cast<CallInst>(&I);

		if (C && C->getCalledFunction() &&
		    C->getCalledFunction()->getName().starts_with("__llv_") && !isHiddenCopy(I))
			Calls.push_back(C);
	}
	for (CallInst *C : Calls) {
		StringRef Name = C->getCalledFunction()->getName();
		IRBuilder<> B(C);
		Value *New = nullptr;
		auto Address = [&](unsigned I) {
			return B.CreatePtrToInt(C->getArgOperand(I), B.getInt64Ty());
		};

		if (Name == "__llv_field") {
			New = fieldQuestion(*C);
		} else if (Name == "__llv_path") {
			New = pathQuestion(*C);
		} else if (Name == "__llv_text") {
			if (literal(C->getArgOperand(0)))
				New = B.CreateAddrSpaceCast(C->getArgOperand(0), C->getType());
			else
				Diag.error(*C, "the text has to be a literal");
		} else if (Name == "__llv_load") {
			if (Prov.of(C->getArgOperand(0)) == Origin::Host ||
			    Prov.of(C->getArgOperand(0)) == Origin::Mixed)
				Diag.error(*C, "the address is not the guest's");
			New = RT.load(B, Address(0), C->getArgOperand(1), siteOf(*C));
		} else if (Name == "__llv_copy") {
			if (Prov.of(C->getArgOperand(1)) == Origin::Host ||
			    Prov.of(C->getArgOperand(1)) == Origin::Mixed)
				Diag.error(*C, "the address is not the guest's");
			RT.copy(B, C->getArgOperand(0), Address(1), C->getArgOperand(2),
				siteOf(*C));
		}
		replace(*C, New ? New : PoisonValue::get(C->getType()));
	}
}

static unsigned flagsOf(const DIType *T, unsigned Bits)
{
	unsigned Flags = Bits ? OVM_LLV_RELOC_BITFIELD : 0;

	if (!T)
		return Flags;
	if (T->getTag() == dwarf::DW_TAG_pointer_type)
		return Flags | OVM_LLV_RELOC_POINTER;
	if (auto *Basic = dyn_cast<DIBasicType>(T)) {
		bool Signed = Basic->getEncoding() == dwarf::DW_ATE_signed ||
			      Basic->getEncoding() == dwarf::DW_ATE_signed_char;

		return Flags | OVM_LLV_RELOC_INTEGER | (Signed ? OVM_LLV_RELOC_SIGNED : 0);
	}
	if (T->getTag() == dwarf::DW_TAG_enumeration_type)
		return Flags | OVM_LLV_RELOC_INTEGER;
	return Flags;
}

static Value *asType(IRBuilder<> &B, Value *V, Type *T)
{
	if (T->isPointerTy())
		return B.CreateIntToPtr(V, T);
	return B.CreateTrunc(V, T);
}

void Lowering::lowerLoad(LoadInst &L)
{
	Type *T = L.getType();
	uint64_t Bytes = Rel.dataLayout().getTypeStoreSize(T);

	if (!(T->isIntegerTy() || T->isPointerTy()) || Bytes > 8 || !isPowerOf2_64(Bytes) ||
	    (T->isIntegerTy() && T->getIntegerBitWidth() != Bytes * 8)) {
		Diag.error(L, "a value of this type can't be read from the guest at once");
		return;
	}
	if (holdsHostPointer(T)) {
		Diag.error(L, "a __host pointer can't be read from guest memory");
		return;
	}
	IRBuilder<> B(&L);
	Value *Ptr = L.getPointerOperand();
	std::optional<Path> P;
	if (isPreserve(Ptr))
		P = Rel.pathOf(Ptr);
	if (P && P->Origin.empty() && P->Bits) {
		Value *Base = B.CreatePtrToInt(P->Root, B.getInt64Ty());
		Value *V = RT.field(B, Base,
				    Rel.make(OVM_LLV_FIELD_LOAD, P->Type, P->Members,
					     flagsOf(P->End, P->Bits), P->Bits, L));
		// Where clang expects it: it goes on to shift and mask.
		V = B.CreateAnd(V, B.getInt64(maskTrailingOnes<uint64_t>(P->Bits)));
		replace(L, B.CreateTrunc(B.CreateShl(V, P->BitOffset), T));
		return;
	}
	if (P && P->Bits) {
		Diag.error(L, "a bit-field of a structure without a name can't be relocated");
		return;
	}
	uint64_t Declared = P && P->End ? P->End->getSizeInBits() / 8 : 0;
	if (P && P->Origin.empty() && Declared == Bytes && !P->Dimensions) {
		Value *Base = B.CreatePtrToInt(P->Root, B.getInt64Ty());
		Value *V = RT.field(B, Base,
				    Rel.make(OVM_LLV_FIELD_LOAD, P->Type, P->Members,
					     flagsOf(P->End, 0), Bytes, L));
		replace(L, asType(B, V, T));
		return;
	}
	Value *V = RT.load(B, B.CreatePtrToInt(Ptr, B.getInt64Ty()), B.getInt32(Bytes), siteOf(L));
	replace(L, asType(B, V, T));
}

// A structure or array copied as a whole.
void Lowering::lowerCopy(CallInst &C)
{
	Value *Dst = C.getArgOperand(0), *Src = C.getArgOperand(1);
	auto *Local = dyn_cast<AllocaInst>(baseOf(Dst));

	if (Dst->getType()->getPointerAddressSpace() == HostAS) {
		Diag.error(C,
			   "guest memory can't be copied over a record as a whole; copy members, "
			   "or arrays with llv_copy()");
		return;
	}
	if (!Local) {
		Diag.error(C, "a copy of guest memory has to go to a local variable");
		return;
	}
	auto *Size = dyn_cast<ConstantInt>(C.getArgOperand(2));
	if (!Size) {
		Diag.error(C, "a copy of guest memory needs a constant size; use llv_bytes() or "
			      "llv_copy_part()");
		return;
	}
	const DIType *T = nullptr;
	if (isPreserve(Src)) {
		std::optional<Path> P = Rel.pathOf(Src);

		T = P ? P->End : nullptr;
		if (T && T->getSizeInBits() / 8 != Size->getZExtValue())
			T = nullptr;
	}
	if (!T && Dst == Local)
		T = Rel.composite(Local->getAllocatedType());
	IRBuilder<> B(&C);
	if (T && isa<DICompositeType>(T) && T->getTag() != dwarf::DW_TAG_array_type) {
		GlobalVariable *Layout = Rel.layout(T, C);

		if (!Layout) {
			Diag.error(C, "this structure can't be copied as a whole; copy members");
			return;
		}
		RT.value(B, Layout);
	} else if (!T && isa<StructType>(Local->getAllocatedType())) {
		Diag.error(C, "this structure can't be copied as a whole; copy members");
		return;
	}
	RT.copy(B, Dst, B.CreatePtrToInt(Src, B.getInt64Ty()), Size, siteOf(C));
	C.eraseFromParent();
}

void Lowering::lowerPreserve(CallInst &C)
{
	IRBuilder<> B(&C);
	std::optional<Path> P = Rel.pathOf(&C);

	if (P) {
		auto *Array = dyn_cast_or_null<DICompositeType>(P->End);
		unsigned Element = 0;

		// Its elements will be stepped over with the size that they have here.
		if (Array && Array->getTag() == dwarf::DW_TAG_array_type)
			if (const DIType *E = stripped(Array->getBaseType());
			    E && !isa<DICompositeType>(E))
				Element = E->getSizeInBits() / 8;
		Value *Offset = offsetOf(
			B, *P, Element ? OVM_LLV_ARRAY_OFFSET : OVM_LLV_FIELD_OFFSET, Element, C);
		Value *Base = B.CreatePtrToInt(P->Root, B.getInt64Ty());
		replace(C, B.CreateIntToPtr(B.CreateAdd(Base, Offset), C.getType()));
		return;
	}
	auto &II = cast<IntrinsicInst>(C);
	if (II.getIntrinsicID() != Intrinsic::preserve_array_access_index) {
		if (!Diag.failed())
			Diag.error(C, "a member of a structure without a name can't be relocated");
		return;
	}
	Type *T = II.getParamElementType(0);
	if (!cast<ConstantInt>(C.getArgOperand(1))->isZero())
		T = cast<ArrayType>(T)->getElementType();
	Value *Stride = Rel.sizeInGuest(B, T, C);
	if (!Stride) {
		Diag.error(C, "the size of a nameless structure can't be relocated");
		return;
	}
	Value *Index = B.CreateSExt(C.getArgOperand(2), B.getInt64Ty());
	Value *Base = B.CreatePtrToInt(C.getArgOperand(0), B.getInt64Ty());
	replace(C, B.CreateIntToPtr(B.CreateAdd(Base, B.CreateMul(Index, Stride)), C.getType()));
}

Value *Lowering::strideOf(IRBuilder<> &B, Type *T, GetElementPtrInst &G)
{
	if (Value *Size = Rel.sizeInGuest(B, T, G))
		return Size;
	// An array of nameless structures, or of arrays of them.
	std::optional<Path> P;
	if (isPreserve(G.getPointerOperand()))
		P = Rel.pathOf(G.getPointerOperand());
	if (P && P->Origin.empty())
		return RT.value(B, Rel.make(OVM_LLV_FIELD_STRIDE, P->Type, P->Members, 0, 0, G));
	Diag.error(G, "the size of a nameless structure can't be relocated");
	return nullptr;
}

Value *Lowering::gepOffset(IRBuilder<> &B, GetElementPtrInst &G)
{
	Value *Sum = B.getInt64(0);

	for (auto It = gep_type_begin(G), End = gep_type_end(G); It != End; ++It) {
		auto *Constant = dyn_cast<ConstantInt>(It.getOperand());

		if (Constant && Constant->isZero())
			continue;
		if (It.isStruct()) {
			Diag.error(G, "an offset within a structure can't be relocated here; "
				      "don't pass kernel structures by value");
			return nullptr;
		}
		Value *Stride = strideOf(B, It.getIndexedType(), G);
		if (!Stride)
			return nullptr;
		Value *Index = B.CreateSExtOrTrunc(It.getOperand(), B.getInt64Ty());
		Sum = B.CreateAdd(Sum, B.CreateMul(Index, Stride));
	}
	return Sum;
}

void Lowering::lowerGEP(GetElementPtrInst &G)
{
	IRBuilder<> B(&G);
	Value *Offset = gepOffset(B, G);

	if (!Offset)
		return;
	Value *Base = B.CreatePtrToInt(G.getPointerOperand(), B.getInt64Ty());
	replace(G, B.CreateIntToPtr(B.CreateAdd(Base, Offset), G.getType()));
}

void Lowering::run()
{
	SmallVector<LoadInst *, 64> Loads;
	SmallVector<CallInst *, 16> Copies;
	SmallVector<Instruction *, 64> Addresses;

	lowerQuestions();
	for (Instruction &I : instructions(F)) {
		if (auto *L = dyn_cast<LoadInst>(&I)) {
			if (isGuest(Prov, L->getPointerOperand()))
				Loads.push_back(L);
		} else if (isHiddenCopy(I)) {
			Copies.push_back(cast<CallInst>(&I));
		} else if (isPreserve(&I)) {
			if (isGuest(Prov, cast<CallInst>(I).getArgOperand(0)))
				Addresses.push_back(&I);
		} else if (auto *G = dyn_cast<GetElementPtrInst>(&I)) {
			if (isGuest(Prov, G->getPointerOperand()))
				Addresses.push_back(G);
		}
	}
	// The last first: an outer access looks at the inner ones it is made of.
	for (LoadInst *L : reverse(Loads))
		lowerLoad(*L);
	for (CallInst *C : Copies)
		lowerCopy(*C);
	for (Instruction *I : reverse(Addresses)) {
		if (I->use_empty())
			I->eraseFromParent();
		else if (auto *G = dyn_cast<GetElementPtrInst>(I))
			lowerGEP(*G);
		else
			lowerPreserve(cast<CallInst>(*I));
	}
}

} // namespace llview
