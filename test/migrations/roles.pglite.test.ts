import { describeRoles } from './roles-contract.ts'

describeRoles('embedded')
