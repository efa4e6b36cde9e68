---------------------------- MODULE ContractModel ----------------------------
(* The contract by itself, small: it is not empty, and its steps keep its own laws. *)
EXTENDS Naturals, FiniteSets
VARIABLES made, owed, effect, lost, told, truth, copy

Facts == {1, 2}
Places == {"a"}
Pairs == {<<1, "x">>, <<1, "y">>, <<2, "x">>}

C == INSTANCE Contract WITH Facts <- Facts, Places <- Places, Reach <- {<<1, "a">>}

vars == <<made, owed, effect, lost, told, truth, copy>>
Init == truth = {} /\ C!Init
Next ==
  /\ made' \in SUBSET Facts /\ owed' \in SUBSET Facts /\ C!Make
  /\ effect' \in [Places -> [Facts -> 0..2]] /\ lost' \in [Places -> SUBSET Facts] /\ C!Take
  /\ told' \in [Places -> SUBSET Facts] /\ C!Tell
  /\ truth' \in SUBSET Pairs /\ copy' \in [Places -> Pairs \cup {C!Nowhere}] /\ C!Copy
Spec == Init /\ [][Next]_vars

NoDuplicate == C!NoDuplicate
NoPhantom == C!NoPhantom
BranchIsolation == C!BranchIsolation
AckedIsDurable == C!AckedIsDurable
CatalogConverges == C!CatalogConverges

(* Sanity: each of these is reached. *)
SomeEffect == effect["a"][1] = 1
SomeLost == 1 \in lost["a"] /\ effect["a"][1] = 0
SomeTold == 1 \in told["a"]
SomeCopy == copy["a"] = <<2, "x">>
==============================================================================
