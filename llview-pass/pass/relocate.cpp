// SPDX-License-Identifier: GPL-2.0-only
//
// Names for what depends on the guest's kernel, taken from debug information: a chain of
// preserved accesses becomes "struct task_struct" and "signal.rlim[3].rlim_cur".
#include "llview.hpp"

#include <llvm/BinaryFormat/Dwarf.h>

using namespace llvm;

namespace llview
{

static bool isComposite(const DIType *T)
{
	return T && (T->getTag() == dwarf::DW_TAG_structure_type ||
		     T->getTag() == dwarf::DW_TAG_union_type);
}

Relocations::Relocations(Module &M, Runtime &RT, Diagnostics &Diag) : M(M), RT(RT), Diag(Diag)
{
	DebugInfoFinder Finder;

	Finder.processModule(M);
	for (const DIType *T : Finder.types()) {
		if (T->getTag() == dwarf::DW_TAG_typedef) {
			auto *C = dyn_cast_or_null<DICompositeType>(
				stripped(cast<DIDerivedType>(T)->getBaseType()));

			if (C && C->getName().empty() && isComposite(C)) {
				Typedefs.insert({C, T->getName().str()});
				Composites.insert({T->getName(), C});
			}
		} else if (isComposite(T) && !T->getName().empty() && !T->isForwardDecl()) {
			Composites.insert({T->getName(), cast<DICompositeType>(T)});
		}
	}
}

std::string Relocations::nameOf(const DICompositeType *C) const
{
	if (!C->getName().empty())
		return (C->getTag() == dwarf::DW_TAG_union_type ? "union " : "struct ") +
		       C->getName().str();
	return Typedefs.lookup(C);
}

// clang calls them "struct.page", "struct.page.12", "union.anon.3".
static StringRef tagOf(const Type *T)
{
	auto *S = dyn_cast<StructType>(T);

	if (!S || S->isLiteral() || !S->hasName())
		return {};
	StringRef Name = S->getName();
	if (!Name.consume_front("struct.") && !Name.consume_front("union."))
		return {};
	Name = Name.take_until([](char C) { return C == '.'; });
	return Name == "anon" ? StringRef() : Name;
}

const DICompositeType *Relocations::composite(const Type *T) const
{
	StringRef Tag = tagOf(T);

	return Tag.empty() ? nullptr : Composites.lookup(Tag);
}

static void append(std::string &Members, StringRef Name)
{
	if (Name.empty())
		return;
	if (!Members.empty())
		Members += '.';
	Members += Name;
}

// The structure that an access starts at; it may be a qualified one.
static const DICompositeType *recordOf(const IntrinsicInst *C)
{
	auto *T = dyn_cast_or_null<DIType>(C->getMetadata(LLVMContext::MD_preserve_access_index));

	return dyn_cast_or_null<DICompositeType>(stripped(T));
}

// Follow one preserved access from the structure or array that it starts at.
static bool follow(const IntrinsicInst *C, Path &P, const DataLayout &DL)
{
	auto Argument = [&](unsigned I) {
		return cast<ConstantInt>(C->getArgOperand(I))->getZExtValue();
	};

	if (C->getIntrinsicID() == Intrinsic::preserve_array_access_index) {
		auto *Array = dyn_cast_or_null<DICompositeType>(P.End);

		P.Members += "[" + std::to_string(Argument(2)) + "]";
		if (!Array || Array->getTag() != dwarf::DW_TAG_array_type)
			return false;
		if (++P.Dimensions == Array->getElements().size()) {
			P.End = stripped(Array->getBaseType());
			P.Dimensions = 0;
		}
		return true;
	}
	bool IsStruct = C->getIntrinsicID() == Intrinsic::preserve_struct_access_index;
	const DICompositeType *Record = recordOf(C);
	if (!Record)
		return false;
	auto *Member = dyn_cast<DIDerivedType>(Record->getElements()[Argument(IsStruct ? 2 : 1)]);
	if (!Member)
		return false;
	append(P.Members, Member->getName());
	P.End = stripped(Member->getBaseType());
	P.Dimensions = 0;
	P.Bits = 0;
	if (Member->isBitField()) {
		uint64_t Unit = 0;

		P.Bits = Member->getSizeInBits();
		if (IsStruct)
			Unit = DL.getStructLayout(cast<StructType>(C->getParamElementType(0)))
				       ->getElementOffsetInBits(Argument(1));
		P.BitOffset = Member->getOffsetInBits() - Unit;
	}
	return true;
}

std::optional<Path> Relocations::pathOf(Value *V)
{
	SmallVector<IntrinsicInst *, 8> Chain;
	auto *At = cast<Instruction>(V);

	while (isPreserve(V)) {
		auto *C = cast<IntrinsicInst>(V);

		Chain.push_back(C);
		V = C->getArgOperand(0);
		// The element of a pointer's target, not of an array.
		if (C->getIntrinsicID() == Intrinsic::preserve_array_access_index &&
		    cast<ConstantInt>(C->getArgOperand(1))->isZero())
			return std::nullopt;
		if (isPreserve(V) &&
		    cast<IntrinsicInst>(V)->getIntrinsicID() ==
			    Intrinsic::preserve_array_access_index &&
		    cast<ConstantInt>(cast<CallInst>(V)->getArgOperand(1))->isZero())
			break;
	}
	Path P;
	P.Root = V;
	const DICompositeType *First = recordOf(Chain.back());
	if (!First || !isComposite(First))
		return std::nullopt;
	P.Type = nameOf(First);
	if (P.Type.empty()) {
		// An element of an array of nameless structures: its path begins before the index.
		auto *G = dyn_cast<GetElementPtrInst>(V);
		std::optional<Path> Outer;

		if (G && isPreserve(G->getPointerOperand()))
			Outer = pathOf(G->getPointerOperand());
		if (!Outer) {
			Diag.error(*At,
				   "a member of a structure without a name can't be relocated");
			return std::nullopt;
		}
		P.Type = Outer->Type;
		P.Origin = Outer->Members + "[0]";
		P.Members = P.Origin;
	}
	for (IntrinsicInst *C : reverse(Chain)) {
		if (follow(C, P, M.getDataLayout()))
			continue;
		Diag.error(*At, "access to '" + P.Type + "' can't be relocated");
		return std::nullopt;
	}
	return P;
}

GlobalVariable *Relocations::make(ovm_llv_reloc_kind Kind, StringRef Type, StringRef Members,
				  unsigned Flags, unsigned Size, const Instruction &At)
{
	std::string Key =
		(Twine(Kind) + "|" + Type + "|" + Members + "|" + Twine(Flags) + "|" + Twine(Size))
			.str();
	GlobalVariable *&G = Made[Key];

	if (G)
		return G;
	LLVMContext &Ctx = M.getContext();
	auto *I16 = llvm::Type::getInt16Ty(Ctx);
	auto *I32 = llvm::Type::getInt32Ty(Ctx);
	auto *Ptr = PointerType::get(Ctx, 0);
	auto *T = StructType::get(Ctx, {Ptr, Ptr, Ptr, I16, I16, I32});
	G = new GlobalVariable(
		M, T, true, GlobalValue::PrivateLinkage,
		ConstantStruct::get(T, {RT.text(Type), RT.text(Members), RT.text(siteOf(At)),
					ConstantInt::get(I16, Kind), ConstantInt::get(I16, Flags),
					ConstantInt::get(I32, Size)}),
		"llv.reloc");
	G->setSection("llv_relocs");
	G->setAlignment(Align(8));
	return G;
}

Value *Relocations::sizeInGuest(IRBuilder<> &B, Type *T, const Instruction &At)
{
	if (auto *A = dyn_cast<ArrayType>(T)) {
		Value *Element = sizeInGuest(B, A->getElementType(), At);

		return Element ? B.CreateMul(Element, B.getInt64(A->getNumElements())) : nullptr;
	}
	if (!isa<StructType>(T))
		return B.getInt64(M.getDataLayout().getTypeAllocSize(T));
	StringRef Tag = tagOf(T);
	if (Tag.empty())
		return nullptr;
	StringRef Prefix =
		cast<StructType>(T)->getName().starts_with("union.") ? "union " : "struct ";
	return RT.value(B, make(OVM_LLV_TYPE_SIZE, (Prefix + Tag).str(), "", OVM_LLV_RELOC_ANY_KIND,
				0, At));
}

// The leaves of a structure as "name:bit offset:bits", which the runtime compares with BTF.
bool Relocations::appendLayout(const DICompositeType *C, const std::string &Prefix,
			       uint64_t BitOffset, std::string &Out, unsigned &Leaves) const
{
	for (const DINode *N : C->getElements()) {
		auto *Member = dyn_cast<DIDerivedType>(N);

		if (!Member || Member->getTag() != dwarf::DW_TAG_member)
			return false;
		std::string Name = Prefix;
		append(Name, Member->getName());
		uint64_t Offset = BitOffset + Member->getOffsetInBits();
		const DIType *T = stripped(Member->getBaseType());
		if (isComposite(T)) {
			if (!appendLayout(cast<DICompositeType>(T), Name, Offset, Out, Leaves))
				return false;
			continue;
		}
		if (++Leaves > 64)
			return false;
		uint64_t Bits = Member->isBitField() ? Member->getSizeInBits()
				: T		     ? T->getSizeInBits()
						     : 0;
		Out += Name + ":" + std::to_string(Offset) + ":" + std::to_string(Bits) + ",";
	}
	return true;
}

GlobalVariable *Relocations::layout(const DIType *T, const Instruction &At)
{
	auto *C = dyn_cast_or_null<DICompositeType>(stripped(T));
	std::string Name, Leaves;
	unsigned Count = 0;

	if (C)
		Name = nameOf(C);
	if (Name.empty() || !appendLayout(C, "", 0, Leaves, Count))
		return nullptr;
	return make(OVM_LLV_LAYOUT, Name, Leaves, 0, C->getSizeInBits() / 8, At);
}

} // namespace llview
