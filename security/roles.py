"""The names of the roles that igon7 ships; each is a Django group."""

VIEWER, OPERATOR, APPROVER, ADMIN, AUDITOR = "viewer", "operator", "approver", "admin", "auditor"
ROLES = (VIEWER, OPERATOR, APPROVER, ADMIN, AUDITOR)
